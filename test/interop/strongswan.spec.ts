import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { csrOf, newKey, registerTestDevice, simpleEnroll, type DeviceKey, type Registered } from '../harness/device.js';
import { openLaboratory, revoke, type Laboratory } from './enrolled.js';
import { decideWaiting } from './every-profile.js';
import { describeWith, run, succeed, type Ended } from './program.js';
import { eventually } from './server.js';

/** Debian's strongSwan pki 5.9: TLS 1.2, HTTP of its own, fails on wrapped base64 and on chunked replies (E23a). */
describeWith(['pki', 'openssl'], 'strongSwan pki', () => {
  let laboratory: Laboratory;
  let device: Registered;
  let key: DeviceKey;
  let sub: string;

  beforeAll(async () => {
    laboratory = await openLaboratory({ TOUCHMARK_SINGLE_OPERATOR: 'true', TOUCHMARK_PENDING_RETRY_SECONDS: '1' });
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

  describe('where somebody has to approve', () => {
    beforeAll(async () => {
      const { instance } = laboratory;
      const change = { profile: 'device', authentication: ['secret', 'certificate'], approval: true };
      const proposal = await instance.api('PUT', '/v1/est-labels/device', change);
      expect({ status: proposal.status, text: proposal.text }).toMatchObject({ status: 202 });
      const { approvalId, digest } = proposal.json<{ approvalId: string; digest: string }>();
      expect((await instance.api('POST', `/v1/approvals/${approvalId}/approve`, { digest })).status).toBe(200);
      await eventually(
        async () => {
          const other = await registerTestDevice(instance, device);
          return (await simpleEnroll(instance, other, csrOf(other, newKey()))).status === 202;
        },
        { within: 10_000, what: 'the EST plane follows the label' },
      );
    });

    /** pki polls by itself, at the default label: of a URL with a path it forgets the path when it asks again. */
    const polls = async (name: string, { username, secret, ...of }: Registered, by: DeviceKey, limit = '20') =>
      enroll(await csrFile(name, of, by), [
        ...['--userpass', `${username}:${secret}`],
        ...['--interval', '1', '--maxpolltime', limit],
      ]);
    const said = (began: Promise<Ended>) => began.then(({ status, stderr }) => ({ status, stderr }));

    test('--est polls until it is approved, and gets its certificate (E87, E88)', async () => {
      const waiting = await registerTestDevice(laboratory.instance, device);
      const by = newKey();
      const began = polls('waiting.csr', waiting, by);
      await decideWaiting(laboratory.instance, waiting.id, 'approve');
      const { status, stdout, stderr } = await began;
      expect({ status, stderr }).toMatchObject({ status: 0, stderr: expect.stringContaining('EST request pending') });
      expect(stderr).toContain('Issued certificate is trusted');
      const file = await laboratory.write('waiting.pem', stdout);
      expect(await succeed('openssl', ['x509', '-in', file, '-noout', '-pubkey'])).toContain(publicPem(by));
      // It renews without asking anybody.
      const identity = ['--cert', file, '--key', await laboratory.write('waiting.key', by.pem)];
      const renewed = await enroll(await csrFile('again.csr', waiting, newKey()), identity);
      expect(renewed).toMatchObject({ status: 0, stderr: expect.not.stringContaining('EST request pending') });
    });

    test('--est ends where it is rejected, and where nobody decides in its time (E89)', async () => {
      const [rejected, left] = [
        await registerTestDevice(laboratory.instance, device),
        await registerTestDevice(laboratory.instance, device),
      ];
      const ended = [polls('rejected.csr', rejected, newKey()), polls('left.csr', left, newKey(), '2')].map(said);
      await decideWaiting(laboratory.instance, rejected.id, 'reject');
      const [told, gaveUp] = await Promise.all(ended);
      expect(told).toMatchObject({ status: 1, stderr: expect.stringContaining('EST request failed: HTTP 403') });
      expect(gaveUp).toMatchObject({ status: 1, stderr: expect.stringContaining('maximum poll time reached') });
    });
  });
});

function publicPem(key: DeviceKey): string {
  return (key.spki.toString('base64').match(/.{1,64}/g) ?? []).join('\n');
}
