import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { ALLOWED_SUITE, FORBIDDEN_SUITES, offer, TLS_1_1, TLS_1_2 } from './client-hello.js';
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

const HANDSHAKE_FAILURE = 40;
const PROTOCOL_VERSION = 70;

describeWith(['openssl'], 'TLS of the planes', () => {
  let laboratory: Laboratory;
  let device: EnrolledDevice;
  let ports: Record<'est' | 'api', number>;

  beforeAll(async () => {
    laboratory = await openLaboratory();
    device = await enrollDevice(laboratory);
    const { est, api } = laboratory.instance.urls;
    ports = { est: Number(new URL(est).port), api: Number(new URL(api).port) };
  });
  afterAll(() => laboratory?.close());

  const connect = (plane: 'est' | 'api', args: readonly string[], input = 'Q\n') =>
    run(
      'openssl',
      [
        's_client',
        '-connect',
        `127.0.0.1:${ports[plane]}`,
        '-CAfile',
        laboratory.root,
        '-verify_ip',
        '127.0.0.1',
        '-verify_return_error',
        ...args,
      ],
      { input },
    );

  test.each(['est', 'api'] as const)('%s: 1.2 and 1.3, the server verified by its address', async (plane) => {
    for (const [option, protocol] of [
      ['-tls1_2', 'TLSv1.2'],
      ['-tls1_3', 'TLSv1.3'],
    ] as const) {
      const { status, all } = await connect(plane, [option]);
      expect({ status, all }).toMatchObject({ status: 0, all: expect.stringContaining('Verify return code: 0 (ok)') });
      expect(all).toMatch(new RegExp(`(New, |Protocol *: )${protocol}`));
    }
  });

  test.each(['est', 'api'] as const)('%s: 1.1 and 1.0 get the alert protocol_version (E02)', async (plane) => {
    for (const option of ['-tls1_1', '-tls1']) {
      const { status, all } = await connect(plane, [option, '-cipher', 'ALL:@SECLEVEL=0']);
      expect({ status, all }).toMatchObject({ status: 1, all: expect.stringContaining('alert protocol version') });
    }
    expect(await offer(ports[plane], TLS_1_1, [0xc009, 0xc00a])).toEqual({ alert: PROTOCOL_VERSION });
  });

  test.each(['est', 'api'] as const)(
    '%s: NULL, anonymous, EXPORT, DES and RC4 suites are refused (E03)',
    async (plane) => {
      for (const cipher of ['eNULL', 'aNULL']) {
        const { status, all } = await connect(plane, ['-tls1_2', '-cipher', `${cipher}:@SECLEVEL=0`]);
        expect({ cipher, status, all }).toMatchObject({ status: 1, all: expect.stringContaining('handshake failure') });
      }
      for (const [suite, code] of Object.entries(FORBIDDEN_SUITES)) {
        expect({ suite, answer: await offer(ports[plane], TLS_1_2, [code]) }).toEqual({
          suite,
          answer: { alert: HANDSHAKE_FAILURE },
        });
      }
      // The same hello with a good suite among them is answered: it was the suites that were refused.
      expect(await offer(ports[plane], TLS_1_2, [...Object.values(FORBIDDEN_SUITES), ALLOWED_SUITE])).toEqual({
        serverHello: { version: TLS_1_2, suite: ALLOWED_SUITE },
      });
    },
  );

  test.each(['est', 'api'] as const)('%s: renegotiation is refused (E66)', async (plane) => {
    const { status, all } = await connect(plane, ['-tls1_2'], 'R\n');
    expect({ status, all }).toMatchObject({ status: 1, all: expect.stringContaining('RENEGOTIATING') });
    expect(all).toMatch(/no renegotiation/);
  });

  test('est asks for a client certificate, and takes that of a device', async () => {
    const { all } = await connect('est', ['-tls1_2', '-cert', device.certificateFile, '-key', device.keyFile]);
    expect(all).toContain('Verify return code: 0 (ok)');
    expect(all).toMatch(/Client Certificate Types: [^\n]*ECDSA sign/);
  });

  test("Node's tls: a server that asks for certificates and holds our CRLs lets a device in, and not after its revocation", async () => {
    const { id, chainFile } = device;
    const cert = await readFile(chainFile, 'utf8');
    expect(await visit(await currentCrls(laboratory, device), cert)).toBe(id);
    await revoke(laboratory, device.serial);
    expect(await visit(await crlsListing(laboratory, device), cert)).toBe('CERT_REVOKED');
  });

  /** What a server that knows the root and these CRLs says to the device: its name, or why not. */
  async function visit(crlFile: string, cert: string): Promise<string> {
    const key = device.key.pem;
    const crl = (await readFile(crlFile, 'utf8')).split(/(?<=-----END X509 CRL-----\n)/);
    // Its own certificate is of no matter here: the device's serves.
    const server = tls.createServer({
      key,
      cert,
      ca: laboratory.instance.rootPem,
      crl,
      requestCert: true,
      rejectUnauthorized: true,
    });
    const { promise: said, resolve } = Promise.withResolvers<string>();
    server.on('tlsClientError', (error, socket) => resolve(String(socket.authorizationError || error.message)));
    server.on('secureConnection', (socket) => {
      resolve(String(socket.getPeerCertificate().subject['CN']));
      socket.end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = tls.connect({ port, host: '127.0.0.1', cert, key, rejectUnauthorized: false });
    client.on('error', () => undefined);
    try {
      return await said;
    } finally {
      client.destroy();
      server.close();
    }
  }
});
