import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { certificateOf, csrOf, newKey, registerRelease, registerTestDevice, simpleEnroll } from '../harness/device.js';
import type { Reply } from '../harness/http.js';
import type { TestInstance } from '../harness/instance.js';
import { ProcessInstance, type Ready } from '../harness/process-instance.js';
import { childrenOf, instanceAt } from '../harness/signer-process.js';

let planes: ProcessInstance;
let ready: Ready;
let instance: TestInstance;
let release: Awaited<ReturnType<typeof registerRelease>>;

beforeAll(async () => {
  planes = await ProcessInstance.create({ TOUCHMARK_SIGNER: 'process', TOUCHMARK_CANARY_SECONDS: '0' });
  ready = await planes.start();
  instance = await instanceAt(ready);
  release = await registerRelease(instance);
});
afterAll(() => planes?.dispose());

const signerPid = (): number | undefined => childrenOf(ready.pid, 'signer-process')[0];

interface Device {
  enroll(): Promise<{ reply: Reply; ms: number }>;
}

async function newDevice(): Promise<Device> {
  const device = await registerTestDevice(instance, release);
  const csr = csrOf(device, newKey());
  return {
    enroll: async () => {
      const begin = performance.now();
      const reply = await simpleEnroll(instance, device, csr);
      return { reply, ms: performance.now() - begin };
    },
  };
}

async function health(): Promise<[number, unknown]> {
  const reply = await instance.est('/readyz');
  return [reply.status, reply.json()];
}

/** The same request again and again until it is answered with a certificate; how long that took. */
async function untilEnrolled(device: Device): Promise<number> {
  const begin = performance.now();
  for (;;) {
    const { reply } = await device.enroll();
    if (reply.status === 200) {
      certificateOf(reply);
      return performance.now() - begin;
    }
    expect(reply.status).toBe(503);
    if (performance.now() - begin > 20_000) throw new Error('not healed');
    await delay(100);
  }
}

function expectUnavailable({ reply, ms }: { reply: Reply; ms: number }): void {
  expect(reply.status).toBe(503);
  expect(Number(reply.headers['retry-after'])).toBeGreaterThanOrEqual(1);
  expect(ms).toBeLessThan(2500);
}

test('devices enroll through the signer process, which alone has opened nothing but its own', async () => {
  expect(signerPid()).toBeGreaterThan(0);
  expect((await (await newDevice()).enroll()).reply.status).toBe(200);
});

test('a signer that hangs: 503 with Retry-After within 2 s, at once after three, and it heals within 10 s (EX27)', async () => {
  const devices = await Promise.all(Array.from({ length: 4 }, newDevice));
  const pid = signerPid()!;
  process.kill(pid, 'SIGSTOP');
  try {
    const stuck = await Promise.all(devices.slice(0, 3).map((one) => one.enroll()));
    for (const one of stuck) expectUnavailable(one);
    const fast = await devices[3]!.enroll();
    expectUnavailable(fast);
    expect(fast.ms).toBeLessThan(500);
    // In service, and it says what it lacks: what needs no signature is answered.
    const reasons = [expect.stringMatching(/^signer: does not answer for 1 key$/)];
    expect(await health()).toEqual([200, { status: 'degraded', reasons }]);
    expect((await instance.est('/.well-known/est/cacerts')).status).toBe(200);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  for (const device of devices) expect(await untilEnrolled(device)).toBeLessThan(10_000);
  expect(await health()).toEqual([200, { status: 'ready', reasons: [] }]);
});

test('a signer that is killed, over and over: no device loses its secret, nothing stays half issued (EX27)', async () => {
  for (let round = 0; round < 3; round++) {
    const devices = await Promise.all(Array.from({ length: 3 }, newDevice));
    const pid = signerPid()!;
    process.kill(pid, 'SIGKILL');
    // A process has to start: on a machine with nothing else to do that takes a second or two.
    for (const device of devices) expect(await untilEnrolled(device)).toBeLessThan(20_000);
    expect(signerPid()).not.toBe(pid);
  }
  expect(planes.output).toContain('the signer process ended; it is started again');
});

test('a Ctrl-C that reaches parent and child together still ends in order', async () => {
  const pid = signerPid()!;
  process.kill(pid, 'SIGINT');
  process.kill(pid, 'SIGTERM');
  await delay(300);
  expect((await (await newDevice()).enroll()).reply.status).toBe(200);
  expect(await planes.stop()).toBe(0);
  expect(() => process.kill(pid, 0)).toThrow();
});
