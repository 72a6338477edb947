import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { enrollDevice, openLaboratory, type EnrolledDevice, type Laboratory } from './enrolled.js';
import { startNginx, type Nginx } from './nginx.js';
import { describeWith, run, succeed } from './program.js';

/** OCSP by GET carries base64: `+`, `/` and `//` in the path (O03). What a proxy makes of them decides whether it works. */
describeWith(['nginx', 'openssl', 'curl'], 'nginx in front of the status plane', () => {
  let laboratory: Laboratory;
  let device: EnrolledDevice;
  let nginx: Nginx | undefined;
  let base64: string;

  beforeAll(async () => {
    laboratory = await openLaboratory();
    device = await enrollDevice(laboratory);
    base64 = await requestWithDoubleSlash();
  });
  afterEach(async () => {
    await nginx?.stop();
    nginx = undefined;
  });
  afterAll(() => laboratory?.close());

  /** A good request whose base64 has `//` and `+` in it: the nonce at its end, 16 bytes, is drawn until it has. */
  async function requestWithDoubleSlash(): Promise<string> {
    const file = laboratory.file('request.der');
    await succeed('openssl', [
      'ocsp',
      '-issuer',
      laboratory.issuing,
      '-cert',
      device.certificateFile,
      '-reqout',
      file,
      '-nonce',
    ]);
    const der = await readFile(file);
    expect(der.subarray(-18, -16)).toEqual(Buffer.from([0x04, 0x10]));
    for (;;) {
      const text = Buffer.concat([der.subarray(0, -16), randomBytes(16)]).toString('base64');
      if (/[^/]\/\/[^/]/.test(text) && text.includes('+')) return text;
    }
  }

  /** What the certificate's status is through the proxy, by each form of the same URL. */
  async function outcomes(prefix = ''): Promise<Record<string, string>> {
    const forms = {
      plain: base64,
      'percent-encoded': encodeURIComponent(base64),
      'slashes encoded': base64.replaceAll('/', '%2F'),
      'plus encoded': base64.replaceAll('+', '%2B'),
    };
    const found: Record<string, string> = {};
    for (const [form, text] of Object.entries(forms)) {
      const answer = laboratory.file('answer.der');
      const url = `http://127.0.0.1:${nginx?.port}${prefix}/ocsp/${text}`;
      await run('curl', ['-sS', '--path-as-is', '-o', answer, url]);
      const { all } = await run('openssl', [
        ...['ocsp', '-respin', answer, '-issuer', laboratory.issuing, '-cert', device.certificateFile, '-no_nonce'],
        ...['-CAfile', laboratory.root],
      ]);
      found[form] = all.includes('Response verify OK') && all.includes(': good\n') ? 'good' : 'broken';
    }
    return found;
  }

  const proxy = (lines: (status: string) => string) =>
    startNginx(laboratory, 'proxy', (port) => `listen 127.0.0.1:${port};\n${lines(laboratory.instance.urls.status)}`);
  const GOOD = { plain: 'good', 'percent-encoded': 'good', 'slashes encoded': 'good', 'plus encoded': 'good' };

  test('merge_slashes off and proxy_pass without a path: every form works, POST and CRLs too', async () => {
    nginx = await proxy((status) => `merge_slashes off; location / { proxy_pass ${status}; }`);
    expect(await outcomes()).toEqual(GOOD);
    const { all } = await run('openssl', [
      ...['ocsp', '-issuer', laboratory.issuing, '-cert', device.certificateFile, '-CAfile', laboratory.root],
      ...['-url', `http://127.0.0.1:${nginx.port}/ocsp`],
    ]);
    expect(all).toContain('Response verify OK');
    const crl = await run('curl', ['-sS', '--fail', `http://127.0.0.1:${nginx.port}/crl/${laboratory.issuingId}.crl`]);
    expect(
      (await run('openssl', ['crl', '-inform', 'DER', '-noout', '-CAfile', laboratory.issuing], { input: crl.stdout }))
        .all,
    ).toContain('verify OK');
  });

  test('proxy_pass without a path sends the URL on as it came, whatever merge_slashes says', async () => {
    nginx = await proxy((status) => `merge_slashes on; location / { proxy_pass ${status}; }`);
    expect(await outcomes()).toEqual(GOOD);
  });

  test('proxy_pass with a path sends a decoded URL on: with merge_slashes on every form with // breaks', async () => {
    nginx = await proxy((status) => `merge_slashes on; location /pki/ { proxy_pass ${status}/; }`);
    expect(await outcomes('/pki')).toEqual({
      plain: 'broken',
      'percent-encoded': 'broken',
      'slashes encoded': 'broken',
      'plus encoded': 'broken',
    });
    await nginx.stop();
    nginx = await proxy((status) => `merge_slashes off; location /pki/ { proxy_pass ${status}/; }`);
    expect(await outcomes('/pki')).toEqual(GOOD);
  });
});
