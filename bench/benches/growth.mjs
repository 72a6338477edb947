import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { basic, certificatePem, estRequest, makeRequest } from '../lib/client.mjs';
import { each, load, median, once } from '../lib/load.mjs';
import { cpuSeconds, memoryMb, startInstance } from '../lib/processes.mjs';
import { seed } from '../lib/seed.mjs';
import { devices } from './enroll.mjs';

const WIDTH = 8;
const WARM_UP = 300;
/** The canary and the first jobs of a start are over, and what they did is sealed. */
const SETTLE_MS = 5_000;

/** An instance with so many certificates besides those that are measured. */
async function grown(certificates) {
  const home = await mkdtemp(path.join(tmpdir(), 'touchmark-growth-'));
  const first = await startInstance({ home });
  const [device] = await devices(first, 1);
  await once(portOf(first), secureOf(first), estRequest('simpleenroll', device.csr, basic(device)));
  await delay(SETTLE_MS);
  await first.stop({ keep: true });
  // Without the worker: nobody seals or publishes meanwhile.
  const idle = await startInstance({ home, planes: 'api' });
  const began = performance.now();
  const { bytes } = await seed(home, { deviceId: device.id, count: certificates });
  const seedSeconds = (performance.now() - began) / 1000;
  await idle.stop({ keep: true });
  const instance = await startInstance({ home });
  return { instance, bytes, seedSeconds, startSeconds: instance.startSeconds };
}

const portOf = (instance) => Number(new URL(instance.urls.est).port);
const secureOf = (instance) => ({ ca: instance.rootPem, servername: 'localhost' });

/** What it costs, per request, in both processes. */
async function measured(instance, work) {
  const own0 = cpuSeconds([instance.pid]);
  const pg0 = instance.postgresCpuSeconds();
  const { perSecond, count } = await work();
  return {
    perSecond,
    cpuMicros: ((cpuSeconds([instance.pid]) - own0) / count) * 1e6,
    postgresCpuMicros: ((instance.postgresCpuSeconds() - pg0) / count) * 1e6,
  };
}

async function enrollRound({ instance, fleet }, count) {
  const batch = fleet.splice(0, count);
  return measured(instance, () =>
    each(batch.length, WIDTH, async (i) => {
      const device = batch[i];
      await once(portOf(instance), secureOf(instance), estRequest('simpleenroll', device.csr, basic(device)));
    }),
  );
}

async function renewRound({ instance, renewing }, seconds) {
  const requests = renewing.map((device) =>
    Array.from({ length: 150 * seconds }, () => estRequest('simplereenroll', makeRequest(device).csr)),
  );
  return measured(instance, async () => {
    const lanes = await Promise.all(
      renewing.map((device, lane) =>
        load({
          port: portOf(instance),
          secure: { ...secureOf(instance), cert: device.certificate, key: device.key },
          connections: 1,
          seconds,
          next: () => requests[lane].pop(),
        }),
      ),
    );
    return {
      perSecond: lanes.reduce((sum, lane) => sum + lane.perSecond, 0),
      count: lanes.reduce((sum, lane) => sum + lane.count, 0),
    };
  });
}

async function prepare(side, count) {
  const { instance } = side;
  side.renewing = await devices(instance, WIDTH);
  for (const device of side.renewing) {
    const reply = await once(
      portOf(instance),
      secureOf(instance),
      estRequest('simpleenroll', device.csr, basic(device)),
    );
    device.certificate = certificatePem(reply);
  }
  side.fleet = await devices(instance, count + WARM_UP);
  await enrollRound(side, WARM_UP);
  await renewRound(side, 1);
}

/** Rates with few and with many stored certificates, in turns; whoever comes first has no advantage over the rounds. */
export async function growth({ few = 10_000, many = 2_000_000, count = 300, seconds = 3, rounds = 5 } = {}) {
  const sides = [];
  try {
    for (const certificates of [few, many]) {
      process.stderr.write(`growth: seeding ${certificates.toLocaleString('en')} certificates ...\n`);
      sides.push(await grown(certificates));
    }
    for (const side of sides) await prepare(side, count * rounds);
    const results = { simpleenroll: [], simplereenroll: [] };
    for (let round = 0; round < rounds; round++) {
      const order = round % 2 === 0 ? sides : sides.toReversed();
      for (const [name, run] of [
        ['simpleenroll', (side) => enrollRound(side, count)],
        ['simplereenroll', (side) => renewRound(side, seconds)],
      ]) {
        const turn = new Map();
        for (const side of order) turn.set(side, await run(side));
        const [less, more] = sides.map((side) => turn.get(side));
        results[name].push({ less, more });
      }
    }
    return Object.entries(results).map(([name, turns]) => summary({ name, turns, sides, few, many }));
  } finally {
    for (const { instance } of sides) await instance.stop();
  }
}

function summary({ name, turns, sides, few, many }) {
  const of = (pick) => median(turns.map(pick));
  const ratio = of(({ less, more }) => more.perSecond / less.perSecond);
  const [, { instance, bytes, seedSeconds, startSeconds }] = sides;
  return {
    name: `${name}, ${many.toLocaleString('en')} stored certificates against ${few.toLocaleString('en')}`,
    target: 'ratio >= 0.9',
    met: ratio >= 0.9,
    perSecond: of(({ more }) => more.perSecond),
    baselinePerSecond: of(({ less }) => less.perSecond),
    ratio,
    cpuMicros: of(({ more }) => more.cpuMicros),
    cpuRatio: of(({ less, more }) => more.cpuMicros / less.cpuMicros),
    postgresCpuMicros: of(({ more }) => more.postgresCpuMicros),
    postgresCpuRatio: of(({ less, more }) => more.postgresCpuMicros / less.postgresCpuMicros),
    ...{ seedSeconds, startSeconds, databaseMb: bytes / 1e6 },
    startSecondsWithFew: sides[0].startSeconds,
    rssMb: memoryMb([instance.pid]),
    rssMbWithFew: memoryMb([sides[0].instance.pid]),
    postgresMb: memoryMb(instance.postgresPids()),
    ratios: turns.map(({ less, more }) => more.perSecond / less.perSecond),
  };
}
