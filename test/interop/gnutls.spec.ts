import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { crlOf, enrollDevice, openLaboratory, revoke, type EnrolledDevice, type Laboratory } from './enrolled.js';
import { describeWith, run } from './program.js';
import { eventually } from './server.js';

describeWith(['certtool', 'ocsptool', 'gnutls-cli', 'openssl'], 'GnuTLS', () => {
  let laboratory: Laboratory;
  let device: EnrolledDevice;

  beforeAll(async () => {
    laboratory = await openLaboratory();
    device = await enrollDevice(laboratory);
    // ocsptool builds no path: the issuer of the responder's certificate must be among what it trusts.
    await laboratory.write('cas.pem', laboratory.instance.rootPem + (await readFile(laboratory.issuing, 'utf8')));
  });
  afterAll(() => laboratory?.close());

  test('certtool --verify-chain and --verify accept a device certificate', async () => {
    const chain = (await readFile(device.chainFile, 'utf8')) + (await readFile(laboratory.root, 'utf8'));
    expect(await run('certtool', ['--verify-chain'], { input: chain })).toMatchObject({
      status: 0,
      all: expect.stringMatching(/Chain verification output: Verified\. The certificate is trusted\./),
    });
    const verified = await run('certtool', ['--verify', '--load-ca-certificate', laboratory.root], {
      input: await readFile(device.chainFile),
    });
    expect(verified).toMatchObject({ status: 0, all: expect.stringContaining('The certificate is trusted') });
  });

  test('certtool --verify-crl accepts both CRLs under their own issuer only', async () => {
    const own = await crlOf(laboratory, device.certificateFile);
    const root = await crlOf(laboratory, laboratory.issuing);
    const verify = (crl: string, ca: string) =>
      run('certtool', ['--verify-crl', '--load-ca-certificate', ca], { input: crl });
    for (const [crl, ca] of [
      [own, laboratory.issuing],
      [root, laboratory.root],
    ] as const) {
      expect((await verify(crl, ca)).all).toMatch(/Verification output: Verified/i);
    }
    expect((await verify(own, laboratory.root)).all).not.toMatch(/Verification output: Verified/i);
  });

  test('certtool reads every certificate and the private extension is not critical', async () => {
    for (const file of [laboratory.root, laboratory.issuing, device.certificateFile]) {
      const { status, all } = await run('certtool', ['--certificate-info', '--infile', file]);
      expect(status).toBe(0);
      expect(all).not.toMatch(/error|Unknown extension .*\(critical\)/i);
    }
  });

  test('gnutls-cli connects to the EST plane with the device certificate, verified in full', async () => {
    const { port } = new URL(laboratory.instance.urls.est);
    const { status, all } = await run(
      'gnutls-cli',
      [
        ...['--x509cafile', laboratory.root, '--x509certfile', device.chainFile, '--x509keyfile', device.keyFile],
        ...['--port', port, '127.0.0.1'],
      ],
      { input: 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' },
    );
    expect({ status, all }).toMatchObject({ status: 0, all: expect.stringContaining('The certificate is trusted') });
    expect(all).toContain('HTTP/1.1 200');
  });

  test('ocsptool: good, then revoked, with and without nonce', async () => {
    const ask = (nonce: string) =>
      run('ocsptool', [
        ...[`--ask=${laboratory.instance.urls.status}/ocsp`, nonce, '--load-cert', device.certificateFile],
        ...['--load-issuer', laboratory.issuing, '--load-trust', laboratory.file('cas.pem')],
      ]);
    for (const nonce of ['--nonce', '--no-nonce']) {
      const { all } = await ask(nonce);
      expect(all).toMatch(/Certificate Status: good/);
      expect(all).toMatch(/Verifying OCSP Response: Success/);
    }
    await revoke(laboratory, device.serial);
    for (const nonce of ['--nonce', '--no-nonce']) {
      const said = await eventually(
        async () => {
          const { all } = await ask(nonce);
          return all.includes('Certificate Status: revoked') && all;
        },
        { within: 1000, what: 'ocsptool says revoked' },
      );
      expect(said).toMatch(/Verifying OCSP Response: Success/);
    }
  });
});
