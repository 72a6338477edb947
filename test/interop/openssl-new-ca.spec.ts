import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { crlOf, enrollDevice, openLaboratory, type EnrolledDevice, type Laboratory } from './enrolled.js';
import { describeWith, run, succeed } from './program.js';
import { eventually } from './server.js';

/** Approved by whoever proposed it: the instance is one person's. */
async function change(laboratory: Laboratory, path: string, body: object): Promise<void> {
  const approval = await eventually(
    async () => {
      const proposed = await laboratory.instance.api('POST', path, body);
      return proposed.status === 202 ? proposed.json<{ approvalId: string; digest: string }>() : undefined;
    },
    { within: 20_000, what: `${path} is proposed` },
  );
  const { approvalId, digest } = approval;
  const reply = await laboratory.instance.api('POST', `/v1/approvals/${approvalId}/approve`, { digest });
  if (reply.status !== 200) throw new Error(`approve: ${reply.status} ${reply.text}`);
}

describeWith(['openssl'], 'openssl verify and a CA that was made later', () => {
  let laboratory: Laboratory;
  let old: EnrolledDevice;

  beforeAll(async () => {
    laboratory = await openLaboratory({ TOUCHMARK_SINGLE_OPERATOR: 'true' });
    old = await enrollDevice(laboratory);
  });
  afterAll(() => laboratory?.close());

  test('its devices and those of the retired one are good; once it is revoked its devices are not', async () => {
    const { instance, write } = laboratory;
    await change(laboratory, '/v1/issuers', { name: 'Second CA' });
    const { items } = (await instance.api('GET', '/v1/issuers')).json<{
      items: { id: string; name: string; pem: string }[];
    }>();
    const made = items.find(({ name }) => name === 'Second CA')!;
    await change(laboratory, `/v1/issuers/${made.id}/activate`, {});
    const second = { ...laboratory, issuing: await write('second.pem', made.pem), issuingId: made.id };
    const device = await eventually(
      async () => {
        const enrolled = await enrollDevice(second);
        const issuer = await succeed('openssl', ['x509', '-in', enrolled.certificateFile, '-noout', '-issuer']);
        return issuer.includes('Second CA') ? enrolled : undefined;
      },
      { within: 10_000, what: 'the new CA issues' },
    );
    const verify = (certificate: string, issuing: string, crls: string) =>
      run('openssl', [
        'verify',
        '-x509_strict',
        ...['-CAfile', laboratory.root, '-untrusted', issuing, '-purpose', 'sslclient'],
        ...['-crl_check_all', '-CRLfile', crls, certificate],
      ]);
    const crls = async (of: EnrolledDevice, issuing: string) =>
      write('crls-now.pem', (await crlOf(laboratory, of.certificateFile)) + (await crlOf(laboratory, issuing)));
    expect(await verify(device.certificateFile, second.issuing, await crls(device, second.issuing))).toMatchObject({
      status: 0,
    });
    expect(await verify(old.certificateFile, laboratory.issuing, await crls(old, laboratory.issuing))).toMatchObject({
      status: 0,
    });

    await change(laboratory, `/v1/issuers/${made.id}/revoke`, { reason: 'cACompromise' });
    const refused = await eventually(
      async () => {
        const ended = await verify(device.certificateFile, second.issuing, await crls(device, second.issuing));
        return ended.status === 0 ? undefined : ended;
      },
      { within: 10_000, what: 'the CRL of the root lists the CA' },
    );
    expect(refused.stderr).toContain('certificate revoked');
    expect(await verify(old.certificateFile, laboratory.issuing, await crls(old, laboratory.issuing))).toMatchObject({
      status: 0,
    });
  }, 120_000);
});
