import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  crlsListing,
  currentCrls,
  enrollDevice,
  openLaboratory,
  revoke,
  type EnrolledDevice,
  type Laboratory,
} from './enrolled.js';
import { describeWith, run } from './program.js';

describeWith(['openssl'], 'openssl verify', () => {
  let laboratory: Laboratory;
  let device: EnrolledDevice;
  let other: EnrolledDevice;

  beforeAll(async () => {
    laboratory = await openLaboratory();
    device = await enrollDevice(laboratory);
    other = await enrollDevice(laboratory);
  });
  afterAll(() => laboratory?.close());

  const verify = (certificate: string, ...more: string[]) =>
    run('openssl', [
      'verify',
      '-x509_strict',
      '-CAfile',
      laboratory.root,
      '-untrusted',
      laboratory.issuing,
      ...more,
      certificate,
    ]);

  test('a device certificate is good for a TLS client and for nothing else', async () => {
    expect((await verify(device.certificateFile, '-purpose', 'sslclient')).status).toBe(0);
    for (const purpose of ['sslserver', 'smimesign', 'timestampsign']) {
      const refused = await verify(device.certificateFile, '-purpose', purpose);
      expect({ purpose, status: refused.status }).toEqual({ purpose, status: 2 });
    }
  });

  test('CRLs: good before, revoked after, and others stay good', async () => {
    const before = await currentCrls(laboratory, device);
    expect(await verify(device.certificateFile, '-crl_check_all', '-CRLfile', before)).toMatchObject({ status: 0 });
    await revoke(laboratory, device.serial);
    const after = await crlsListing(laboratory, device);
    const refused = await verify(device.certificateFile, '-crl_check_all', '-CRLfile', after);
    expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining('certificate revoked') });
    expect(await verify(other.certificateFile, '-crl_check_all', '-extended_crl', '-CRLfile', after)).toMatchObject({
      status: 0,
    });
  });

  test('the full CRL, which has no distribution point in it, refuses the same certificate', async () => {
    const { body } = await laboratory.instance.status(`/crl/${laboratory.issuingId}.crl`);
    const full = await run('openssl', ['crl', '-inform', 'DER', '-CAfile', laboratory.issuing], { input: body });
    expect(full.stderr).toContain('verify OK');
    const file = await laboratory.write('full.pem', full.stdout);
    expect(await verify(device.certificateFile, '-crl_check', '-CRLfile', file)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('certificate revoked'),
    });
    expect(await verify(other.certificateFile, '-crl_check', '-CRLfile', file)).toMatchObject({ status: 0 });
  });
});
