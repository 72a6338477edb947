import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { OID, readCertificate } from '#pki';
import { startTestInstance, type TestInstance } from '../harness/instance.js';

let instance: TestInstance;

beforeAll(async () => {
  instance = await startTestInstance({
    TOUCHMARK_SERVER_CERTIFICATE_SECONDS: '20',
    TOUCHMARK_SERVER_CERTIFICATE_RENEW_SECONDS: '15',
  });
});
afterAll(() => instance.stop());

/** Serial of the certificate that a fresh, verified handshake shows. */
function shownBy(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host: hostname, port: Number(port), ca: instance.rootPem, servername: 'localhost' }, () => {
    resolve(socket.getPeerX509Certificate()!.serialNumber);
    socket.destroy();
  });
  socket.on('error', reject);
  return promise;
}

test('the EST server names its host in a certificate that fits the profile and leads to the root (E13)', async () => {
  const { port } = new URL(instance.urls.est);
  // Verified by the client for this host name, or there is no connection.
  const socket = connect({ host: '127.0.0.1', port: Number(port), ca: instance.rootPem, servername: 'localhost' });
  await once(socket, 'secureConnect');
  const shown = socket.getPeerX509Certificate()!;
  socket.destroy();
  expect(shown.checkHost('localhost')).toBe('localhost');
  const certificate = readCertificate(shown.raw);
  expect(certificate).toMatchObject({ version: 3, eku: [OID.serverAuth], keyUsage: ['digitalSignature'] });
  expect(certificate.basicConstraints?.ca ?? false).toBe(false);
  expect(certificate.authorityKeyId).toBeDefined();
});

test.each(['est', 'api'] as const)(
  'the %s server renews its certificate before it ends, without a restart',
  async (plane) => {
    const first = await shownBy(instance.urls[plane]);
    const until = performance.now() + 15_000;
    let now = first;
    while (now === first && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      now = await shownBy(instance.urls[plane]);
    }
    expect(now).not.toBe(first);
  },
);
