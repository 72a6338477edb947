import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { connect } from 'node:tls';
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
