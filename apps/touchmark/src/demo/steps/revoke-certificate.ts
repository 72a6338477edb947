import { expectThat, type Telling } from '../narrator.js';
import { est, member, NODE_HTTP, until, type EnrolledDevice, type Workbench } from '../workbench.js';
import { fetchCrls, visit } from './visit-provider.js';

const OCSP_WITHIN_MS = 1000;
const CRL_WITHIN_MS = 5000;

export async function askForStatus(
  { examiner }: Workbench,
  { identity, ca }: EnrolledDevice,
  { fact, verified }: Telling,
): Promise<void> {
  const { ocsp } = await examiner.describe(identity.certificate);
  const { status } = await examiner.askOcsp(identity.certificate, ca, ocsp);
  fact(`asked ${ocsp} with a nonce`);
  expectThat(status === 'good', `OCSP says ${status}`);
  verified('OCSP says good; the answer is signed by a delegate of the issuing CA and carries our nonce', examiner.name);
}

/** Returns when the request to revoke was sent, in monotonic milliseconds. */
export async function revokeCertificate(
  workbench: Workbench,
  device: EnrolledDevice,
  telling: Telling,
): Promise<number> {
  const { api, examiner, clock } = workbench;
  const { identity, ca, account } = device;
  const { serial, ocsp } = await examiner.describe(identity.certificate);
  const since = clock.monotonicMs();
  const receipt = await api.post(`/v1/certificates/${serial}/revoke`, { reason: 'keyCompromise' });
  const channels = `OCSP by ${member(receipt, 'visibleBy.ocsp')}, CRL by ${member(receipt, 'visibleBy.crl')}`;
  telling.fact(`receipt: change ${member(receipt, 'seq')}, visible in ${channels}`);
  let reason = '';
  const ms = await until(clock, since, OCSP_WITHIN_MS, 'OCSP says revoked', async () => {
    const { status, detail } = await examiner.askOcsp(identity.certificate, ca, ocsp);
    reason = detail;
    return status === 'revoked';
  });
  expectThat(reason === 'keyCompromise', `the reason is ${reason}`);
  telling.verified(`OCSP says revoked (${reason}) ${ms} ms after the request to revoke was sent`, examiner.name);
  const csr = await examiner.request(await examiner.newKey('late'), account);
  const refused = await est(workbench, 'simplereenroll', csr, identity);
  telling.fact(`EST: ${refused.status} ${refused.body.toString().trim()}`);
  expectThat(refused.status === 403, `EST answers ${refused.status} instead of 403`);
  telling.verified('the revoked certificate cannot renew itself', NODE_HTTP);
  return since;
}

export async function findInCrl(
  workbench: Workbench,
  device: EnrolledDevice,
  since: number,
  telling: Telling,
): Promise<void> {
  const { examiner, clock } = workbench;
  const { identity, ca } = device;
  const ms = await until(clock, since, CRL_WITHIN_MS, 'the CRL lists the certificate', async () => {
    const crls = await fetchCrls(workbench, device);
    return (await examiner.verifyWithCrls(identity.certificate, ca, crls)).status === 'revoked';
  });
  telling.verified(
    `the path is refused for "certificate revoked" with the CRL of ${ms} ms after the request`,
    examiner.name,
  );
  const { admitted, outcome } = await visit(workbench, device);
  telling.fact(`the provider's server, with fresh CRLs: ${outcome}`);
  expectThat(!admitted && outcome === 'CERT_REVOKED', `the provider's server says ${outcome}`);
  telling.verified('mutual TLS: the same server refuses the device now', "server Node's own tls");
}

export async function keepOthersGood(workbench: Workbench, others: EnrolledDevice, telling: Telling): Promise<void> {
  const { examiner } = workbench;
  const { identity, ca } = others;
  const crls = await fetchCrls(workbench, others);
  const found = await examiner.verifyWithCrls(identity.certificate, ca, crls);
  expectThat(found.status === 'good', `the earlier certificate is ${found.status}`);
  telling.verified('the earlier certificate of the device, which was not revoked, is still good by CRL', examiner.name);
}
