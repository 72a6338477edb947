import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { csrOf, newKey, registerTestDevice, type DeviceKey, type Registered } from '../harness/device.js';
import { openLaboratory, revoke, type Laboratory } from './enrolled.js';
import { describeWith, run, succeed } from './program.js';

/** Debian's strongSwan pki 5.9: TLS 1.2, HTTP of its own, fails on wrapped base64 and on chunked replies (E23a). */
describeWith(['pki', 'openssl'], 'strongSwan pki', () => {
  let laboratory: Laboratory;
  let device: Registered;
  let key: DeviceKey;
  let sub: string;

  beforeAll(async () => {
    laboratory = await openLaboratory();
    device = await registerTestDevice(laboratory.instance);
    key = newKey();
    sub = laboratory.file('ca-1.pem');
  });
  afterAll(() => laboratory?.close());

  const est = (path = '') => ['--url', `${laboratory.instance.urls.est}${path}`, '--cacert', laboratory.root];
  const enroll = (csr: string, identity: readonly string[], path = '') =>
    run('pki', ['--est', ...est(path), '--cacert', sub, '--in', csr, ...identity, '--outform', 'pem']);
  const csrFile = async (name: string, of: { id: string; instanceId: string }, by: DeviceKey) =>
    laboratory.write(name, csrOf(of, by));

  test('--estca fetches root and issuing CA and trusts both', async () => {
    const { status, all } = await run('pki', [
      '--estca',
      ...est(),
      '--caout',
      laboratory.file('ca.pem'),
      '--outform',
      'pem',
    ]);
    expect({ status, all }).toMatchObject({ status: 0, all: expect.stringContaining('Root CA cert is trusted') });
    expect(all).toContain('Sub CA cert is trusted');
    const fetched = await succeed('openssl', ['x509', '-in', laboratory.file('ca.pem')]);
    expect(fetched).toBe(await succeed('openssl', ['x509', '-in', laboratory.root]));
    expect(await succeed('openssl', ['x509', '-in', sub])).toBe(
      await succeed('openssl', ['x509', '-in', laboratory.issuing]),
    );
  });

  test('--est enrolls with the one-time secret, and the same request again gets the same certificate', async () => {
    const csr = await csrFile('swan.csr', device, key);
    const secret = ['--userpass', `${device.username}:${device.secret}`];
    const first = await enroll(csr, secret);
    expect(first).toMatchObject({ status: 0, stderr: expect.stringContaining('Issued certificate is trusted') });
    await laboratory.write('swan.key', key.pem);
    await laboratory.write('swan.pem', first.stdout);
    const again = await enroll(csr, secret);
    expect(again.stdout.toString()).toBe(first.stdout.toString());
    await succeed('openssl', [
      'verify',
      '-x509_strict',
      '-CAfile',
      laboratory.root,
      '-untrusted',
      sub,
      laboratory.file('swan.pem'),
    ]);
  });

  test('the same secret with another key is refused', async () => {
    const csr = await csrFile('other.csr', device, newKey());
    const { status, stdout, stderr } = await enroll(csr, ['--userpass', `${device.username}:${device.secret}`]);
    expect({ refused: status !== 0, printed: stdout.length }).toEqual({ refused: true, printed: 0 });
    expect(stderr).toMatch(/401|Unauthorized|failed/i);
  });

  test('--cert and --key renew, with a new key and with the same one, without a label and with one before the path (E23b)', async () => {
    const identity = ['--cert', laboratory.file('swan.pem'), '--key', laboratory.file('swan.key')];
    for (const [name, by, path] of [
      ['rekey', newKey(), ''],
      ['renew', key, '/device'],
    ] as const) {
      const renewed = await enroll(await csrFile(`${name}.csr`, device, by), identity, path);
      expect(renewed).toMatchObject({ status: 0, stderr: expect.stringContaining('Issued certificate is trusted') });
      const file = await laboratory.write(`${name}.pem`, renewed.stdout);
      expect(await succeed('openssl', ['x509', '-in', file, '-noout', '-pubkey'])).toContain(publicPem(by));
      expect(await readFile(file, 'utf8')).not.toBe(await readFile(laboratory.file('swan.pem'), 'utf8'));
    }
  });

  test('a revoked certificate does not renew', async () => {
    const serial = (await succeed('openssl', ['x509', '-in', laboratory.file('swan.pem'), '-noout', '-serial']))
      .trim()
      .slice('serial='.length);
    await revoke(laboratory, serial.toLowerCase());
    const identity = ['--cert', laboratory.file('swan.pem'), '--key', laboratory.file('swan.key')];
    const refused = await enroll(await csrFile('late.csr', device, newKey()), identity);
    expect({ refused: refused.status !== 0, printed: refused.stdout.length }).toEqual({ refused: true, printed: 0 });
  });
});

function publicPem(key: DeviceKey): string {
  return (key.spki.toString('base64').match(/.{1,64}/g) ?? []).join('\n');
}
