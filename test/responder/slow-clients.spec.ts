import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:net';
import { systemClock } from '#kernel';
import { startInstance, type PublishingInstance } from '../publication/instance.js';
import { startResponder, type RunningResponder } from './exchange.js';

let instance: PublishingInstance;
let responder: RunningResponder;
beforeAll(async () => {
  instance = await startInstance();
  responder = await startResponder(instance);
});
afterAll(async () => {
  await responder.close();
  await instance.close();
});

/** Milliseconds until the server closes a connection on which `text` was sent and then a byte each second. */
async function heldFor(text: string): Promise<number> {
  const socket = connect(Number(new URL(responder.base).port), '127.0.0.1');
  await once(socket, 'connect');
  const startedAt = systemClock.monotonicMs();
  socket.on('error', () => undefined);
  // Cut off may mean reset, which `once` would take for a failure.
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.resume();
  socket.write(text);
  const trickle = setInterval(() => socket.write('a'), 1000);
  await closed;
  clearInterval(trickle);
  return systemClock.monotonicMs() - startedAt;
}

test('a request that trickles is cut off: its head after 10 s, its body after 15 s', async () => {
  const post = 'POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Type: application/ocsp-request\r\n';
  const [head, body] = await Promise.all([heldFor(`${post}X-Slow: `), heldFor(`${post}Content-Length: 100\r\n\r\n`)]);
  expect(head).toBeLessThan(15_000);
  expect(body).toBeLessThan(20_000);
});
