import { toPem } from '#pki';
import type { Identity } from '../examiner.js';
import { expectThat, type Telling } from '../narrator.js';
import { receiveOne, type Visit } from '../provider.js';
import { send } from '../send.js';
import type { EnrolledDevice, Workbench } from '../workbench.js';

/** The CRLs that the device's certificate and the issuing CA's name, DER. */
export async function fetchCrls(
  { examiner }: Workbench,
  { ca, identity }: EnrolledDevice,
): Promise<{ issuing: Buffer; root: Buffer }> {
  const fetched = async (certificate: string) => {
    const { crl } = await examiner.describe(certificate);
    const { status, body } = await send(crl);
    expectThat(status === 200, `${crl} answers ${status}`);
    return body;
  };
  return { issuing: await fetched(identity.certificate), root: await crlOfRoot() };

  async function crlOfRoot(): Promise<Buffer> {
    const url = /http:\/\/[\x21-\x7e]+?\.crl/.exec(
      Buffer.from(ca.issuing.replace(/-----.*-----/g, ''), 'base64').toString('latin1'),
    )?.[0];
    expectThat(url !== undefined, 'the issuing CA names no CRL');
    return (await send(url)).body;
  }
}

/** The device at a provider's server, which has just fetched our CRLs. */
export async function visit(workbench: Workbench, device: EnrolledDevice): Promise<Visit> {
  const { examiner } = workbench;
  const { ca, identity } = device;
  const { issuing, root } = await fetchCrls(workbench, device);
  const crls = [toPem('X509 CRL', issuing), toPem('X509 CRL', root)];
  // Where nobody can make a certificate for the provider, the device's own stands in: only the visitor is judged.
  const server: Identity = (await examiner.serverIdentity()) ?? identity;
  return receiveOne(server, { ca, crls }, (port) => examiner.visit(port, server, identity, ca));
}

export async function beLetIn(
  workbench: Workbench,
  device: EnrolledDevice,
  { fact, verified }: Telling,
): Promise<void> {
  const { admitted, outcome, heard } = await visit(workbench, device);
  fact(`a provider's server that knows our root and our CRLs: ${outcome}`);
  expectThat(admitted && heard === `welcome ${device.account.id}`, `the device heard "${heard}" (${outcome})`);
  verified(
    'mutual TLS: the server let the device in by name',
    `client ${workbench.examiner.name}, server Node's own tls`,
  );
}
