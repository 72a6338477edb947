import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createWorker, type Worker } from '#apps/worker';
import { ensureAuditKey } from '#audit';
import { ensureCanaryVendor } from '#authority';
import { replaceFile } from '../../apps/touchmark/src/home.js';
import { startInstance, type PublishingInstance } from '../publication/instance.js';

const AUDIT_KEK = Buffer.alloc(32, 7);
let instance: PublishingInstance;
let silentServer: Server;
const sockets = new Set<Socket>();
let most = 0;
const workers: Worker[] = [];

/** Takes connections and says nothing: a run stays where it is. */
beforeAll(async () => {
  silentServer = createServer((socket) => {
    sockets.add(socket);
    most = Math.max(most, sockets.size);
    socket.resume();
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => silentServer.listen(0, '127.0.0.1', resolve));
  instance = await startInstance();
  await instance.owner.transaction((tx) => ensureAuditKey(tx, instance.authority.authorityId, AUDIT_KEK));
  await ensureCanaryVendor({
    database: instance.owner,
    clock: instance.clock,
    plane: 'init',
    authorityId: instance.authority.authorityId,
  });
});
afterAll(async () => {
  for (const worker of workers) await worker.stop();
  silentServer.close();
  await instance.close();
});

async function start(): Promise<void> {
  const { port } = silentServer.address() as AddressInfo;
  const url = `127.0.0.1:${port}`;
  const worker = await createWorker({
    config: {
      lifetimes: instance.lifetimes,
      redisUrl: undefined,
      home: instance.home,
      audit: { witnesses: [], sealMs: 1000 },
    },
    authority: instance.authority,
    database: instance.databases.worker,
    follower: instance.publisher.follower,
    connection: instance.connection('worker'),
    ocspKek: instance.ocspKek,
    auditKek: AUDIT_KEK,
    replaceFile,
    canary: {
      everySeconds: 1,
      urls: { api: `https://${url}`, est: `https://${url}`, status: `http://${url}` },
      token: 'unused',
    },
  });
  await worker.start();
  workers.push(worker);
}

const runsTold = async (): Promise<number> =>
  (
    await instance.owner.rows<{ n: number }>(
      `select count(*)::int as n from audit where action in ('canary.passed', 'canary.failed')`,
    )
  )[0]!.n;

test('of several workers one canary runs at a time, and one that the stop cuts off is told to nobody', async () => {
  await start();
  await start();
  const limit = performance.now() + 20_000;
  while (most === 0 && performance.now() < limit) await delay(50);
  // Three more were due in this time.
  await delay(3500);
  expect(most).toBe(1);
  const begin = performance.now();
  for (const worker of workers.splice(0)) await worker.stop();
  expect(performance.now() - begin).toBeLessThan(5000);
  for (let polls = 0; sockets.size > 0 && polls < 40; polls++) await delay(50);
  expect(sockets.size).toBe(0);
  expect(await runsTold()).toBe(0);
});
