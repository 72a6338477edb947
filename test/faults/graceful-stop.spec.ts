import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ProcessInstance } from '../harness/process-instance.js';
import { Load } from './load.js';

let instance: ProcessInstance;
let load: Load;
beforeAll(async () => {
  instance = await ProcessInstance.prepared();
  load = await Load.open(await instance.start(), 60, { keepAlive: false });
}, 60_000);
afterAll(async () => {
  load?.close();
  await instance?.dispose();
});

test('SIGTERM under load: what has begun is finished, what comes later is turned away, and it ends within 10 s', async () => {
  load.start();
  await pause(2500);
  const held = await load.holdRequest();
  const begin = performance.now();
  const stopped = instance.stop();
  await load.untilRefused();
  expect(await held.finish()).toBe(201);
  const code = await stopped;
  const tookMs = performance.now() - begin;
  await load.abandon();

  const before = load.tries.filter(({ at, ms }) => at + ms < begin);
  const inFlight = load.tries.filter(({ at, ms }) => at < begin && at + ms >= begin);
  const later = load.tries.filter(({ at }) => at >= begin);
  const successes = (tries: typeof before) => tries.filter(({ status }) => status === 200 || status === 201).length;
  process.stdout.write(
    `SIGTERM under load: ${JSON.stringify({ tookMs: Math.round(tookMs), before: before.length, inFlight: inFlight.length, later: later.length })}\n`,
  );
  expect(code).toBe(0);
  expect(tookMs).toBeLessThan(10_000);
  expect(before.length).toBeGreaterThan(10);
  expect(successes(before)).toBe(before.length);
  expect(successes(inFlight)).toBe(inFlight.length);
  // Nobody listens any more: the one failure there may be. What the kernel had queued and nobody had taken is reset.
  expect(later.filter(({ said }) => said !== undefined && !/ECONNREFUSED|ECONNRESET/.test(said))).toEqual([]);
  expect(successes(later)).toBeLessThan(later.length);
}, 60_000);

test('and what was acknowledged until then is there after the next start', async () => {
  load.moveTo(await instance.start());
  const { acknowledged, lost } = await load.findLosses();
  expect(lost).toEqual([]);
  expect(acknowledged).toBeGreaterThan(5);
}, 60_000);
