import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { enrollDevice, openLaboratory, revoke, uriOf, type EnrolledDevice, type Laboratory } from './enrolled.js';
import { describeWith, run, succeed } from './program.js';
import { eventually } from './server.js';

const NEVER_ISSUED = '0x0123456789abcdef0123456789abcdef01';

describeWith(['openssl', 'curl'], 'openssl ocsp', () => {
  let laboratory: Laboratory;
  let good: EnrolledDevice;
  let revoked: EnrolledDevice;

  beforeAll(async () => {
    laboratory = await openLaboratory();
    good = await enrollDevice(laboratory);
    revoked = await enrollDevice(laboratory);
    await revoke(laboratory, revoked.serial, 'superseded');
  });
  afterAll(() => laboratory?.close());

  const ask = (args: readonly string[], issuer = laboratory.issuing) =>
    run('openssl', [
      'ocsp',
      '-issuer',
      issuer,
      ...args,
      '-url',
      `${laboratory.instance.urls.status}/ocsp`,
      '-CAfile',
      laboratory.root,
    ]);

  test.each([
    ['SHA-1', '-sha1', '-nonce'],
    ['SHA-1', '-sha1', '-no_nonce'],
    ['SHA-256', '-sha256', '-nonce'],
    ['SHA-256', '-sha256', '-no_nonce'],
  ])('good, revoked and unknown with %s (%s %s), each answer verified', async (_, hash, nonce) => {
    const answers = {
      good: await ask([hash, '-cert', good.certificateFile, nonce]),
      revoked: await ask([hash, '-cert', revoked.certificateFile, nonce]),
      unknown: await ask([hash, '-serial', NEVER_ISSUED, nonce]),
    };
    for (const [status, { all, ...ended }] of Object.entries(answers)) {
      expect({ status: ended.status, all }).toMatchObject({
        status: 0,
        all: expect.stringContaining('Response verify OK'),
      });
      expect(all).toContain(`: ${status}\n`);
      // OpenSSL compares the nonce itself and fails on another one; it only warns where none came back.
      expect(all).not.toContain('no nonce in response');
    }
    expect(answers.revoked.all).toContain('Reason: superseded');
  });

  test('the issuing CA itself is answered for, signed for the root', async () => {
    const { all } = await ask(['-cert', laboratory.issuing], laboratory.root);
    expect(all).toContain('Response verify OK');
    expect(all).toContain('issuing.pem: good');
  });

  test('several certificates of one issuer in one request', async () => {
    const { all } = await ask([
      '-cert',
      good.certificateFile,
      '-cert',
      revoked.certificateFile,
      '-serial',
      NEVER_ISSUED,
    ]);
    expect(all).toContain('Response verify OK');
    expect(all).toMatch(/: good\n[^]*: revoked\n[^]*: unknown\n/);
  });

  test("the responder certificate is the issuing CA's delegate, and the nonce comes back", async () => {
    const { all } = await ask(['-cert', good.certificateFile, '-nonce', '-resp_text']);
    expect(all).toMatch(/Responder Id: [0-9A-F]{40}/);
    expect(all).toContain('OCSP Nonce');
    expect(all).toContain('OCSP No Check');
    expect(all).toMatch(/Extended Key Usage:[^\n]*\n\s+OCSP Signing\n/);
  });

  test('a revocation shows within a second of the receipt', async () => {
    const device = await enrollDevice(laboratory);
    expect((await ask(['-cert', device.certificateFile])).all).toContain(': good\n');
    await revoke(laboratory, device.serial);
    await eventually(async () => (await ask(['-cert', device.certificateFile])).all.includes(': revoked\n'), {
      within: 1000,
      what: 'openssl ocsp says revoked',
    });
  });

  test('GET by curl: the published bytes verify, and may be cached', async () => {
    const url = await uriOf(good.certificateFile, 'authorityInfoAccess', 'OCSP - ');
    const request = laboratory.file('request.der');
    await succeed('openssl', [
      'ocsp',
      '-issuer',
      laboratory.issuing,
      '-cert',
      good.certificateFile,
      '-no_nonce',
      '-reqout',
      request,
    ]);
    const base64 = (await readFile(request)).toString('base64');
    const answer = laboratory.file('answer.der');
    for (const form of [base64, encodeURIComponent(base64)]) {
      const headers = await succeed('curl', [
        '-sS',
        '--fail',
        '--path-as-is',
        '-D',
        '-',
        '-o',
        answer,
        `${url}/${form}`,
      ]);
      expect(headers).toMatch(/^content-type: application\/ocsp-response\r$/im);
      expect(headers).toMatch(/^cache-control: .*max-age=60\b/im);
      expect(headers).toMatch(/^etag: "[0-9a-f]{64}"\r$/im);
      const { all } = await run('openssl', [
        ...['ocsp', '-respin', answer, '-issuer', laboratory.issuing, '-cert', good.certificateFile],
        ...['-CAfile', laboratory.root],
      ]);
      expect(all).toContain('Response verify OK');
      expect(all).toContain(': good\n');
    }
  });
});
