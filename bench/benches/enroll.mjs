import { basic, certificatePem, estRequest, makeDevice, makeRelease, makeRequest } from '../lib/client.mjs';
import { each, load, median, once } from '../lib/load.mjs';
import { keptConnections, paced } from '../lib/paced.mjs';
import { cpuSeconds, startBaseline, startInstance } from '../lib/processes.mjs';
import { selfSigned } from '../lib/self-signed.mjs';

const WIDTH = 8;
/** The engine compiles what runs hot: a server that has just started is not what is measured. */
const WARM_UP = 2000;
const HALF_LOAD_SECONDS = 8;

/** Registered devices, each with a key and a request. */
export async function devices(instance, count) {
  const release = await makeRelease(instance);
  const made = [];
  await each(count, 8, async () => {
    made.push(await makeDevice(instance, release));
  });
  return made;
}

/** Bare handshakes and enrollments in turns; both clients present a certificate over new connections. */
export async function simpleEnroll({ count = 400, rounds = 5 } = {}) {
  const instance = await startInstance();
  const server = selfSigned();
  const client = selfSigned();
  const baseline = await startBaseline('handshake', { ...server, ca: client.cert });
  const port = Number(new URL(instance.urls.est).port);
  const fleet = await devices(instance, count * rounds + WARM_UP);
  const enroll = async (device) => {
    const secure = { ca: instance.rootPem, servername: 'localhost', cert: client.cert, key: client.key };
    await once(port, secure, estRequest('simpleenroll', device.csr, basic(device)));
  };
  const handshake = () =>
    once(baseline.port, { rejectUnauthorized: false, cert: client.cert, key: client.key }, undefined);
  try {
    await each(WARM_UP, WIDTH, (i) => enroll(fleet[i]));
    await each(WARM_UP, WIDTH, handshake);
    const results = [];
    for (let round = 0; round < rounds; round++) {
      const cpu0 = cpuSeconds([baseline.pid]);
      const b = await each(count, WIDTH, handshake);
      const cpu1 = cpuSeconds([baseline.pid]);
      const own0 = cpuSeconds([instance.pid]);
      const pg0 = cpuSeconds(instance.postgresPids());
      const o = await each(count, WIDTH, (i) => enroll(fleet[WARM_UP + round * count + i]));
      const own1 = cpuSeconds([instance.pid]);
      const pg1 = cpuSeconds(instance.postgresPids());
      results.push({
        ours: o,
        baseline: b,
        ratio: o.perSecond / b.perSecond,
        cpuMicros: ((own1 - own0) / count) * 1e6,
        handshakeCpuMicros: ((cpu1 - cpu0) / count) * 1e6,
        postgresCpuMicros: ((pg1 - pg0) / count) * 1e6,
      });
    }
    const of = (pick) => median(results.map(pick));
    const ratio = of((r) => r.ratio);
    const halfRate = of((r) => r.ours.perSecond) / 2;
    const more = await devices(instance, Math.ceil(halfRate * HALF_LOAD_SECONDS));
    const half = await paced(halfRate, more.length, (i) => enroll(more[i]));
    const cpuRatio = of((r) => r.cpuMicros / r.handshakeCpuMicros);
    return [
      {
        name: 'simpleenroll, new connections',
        target: 'ratio >= 0.4, p99 < 100 ms at half load, CPU <= 2.5 x',
        met: ratio >= 0.4 && half.p99 < 100 && cpuRatio <= 2.5,
        perSecond: of((r) => r.ours.perSecond),
        baselinePerSecond: of((r) => r.baseline.perSecond),
        ratio,
        p99: of((r) => r.ours.p99),
        halfLoadPerSecond: half.perSecond,
        halfLoadP99: half.p99,
        cpuMicros: of((r) => r.cpuMicros),
        handshakeCpuMicros: of((r) => r.handshakeCpuMicros),
        cpuRatio,
        postgresCpuMicros: of((r) => r.postgresCpuMicros),
        ratios: results.map((r) => r.ratio),
      },
    ];
  } finally {
    await baseline.stop();
    await instance.stop();
  }
}

/** Renewals with a new key each over kept connections, one per device. */
export async function simpleReenroll({ seconds = 4, rounds = 5 } = {}) {
  const instance = await startInstance();
  const port = Number(new URL(instance.urls.est).port);
  const secure = { ca: instance.rootPem, servername: 'localhost' };
  const fleet = await devices(instance, WIDTH);
  try {
    for (const device of fleet) {
      const reply = await once(port, secure, estRequest('simpleenroll', device.csr, basic(device)));
      device.certificate = certificatePem(reply);
    }
    const results = [];
    for (let round = 0; round < rounds; round++) {
      const requests = fleet.map((device) =>
        Array.from({ length: 700 }, () => estRequest('simplereenroll', makeRequest(device).csr)),
      );
      const own0 = cpuSeconds([instance.pid]);
      const pg0 = cpuSeconds(instance.postgresPids());
      const client0 = process.cpuUsage();
      const lanes = await Promise.all(
        fleet.map((device, lane) =>
          load({
            port,
            secure: { ...secure, cert: device.certificate, key: device.key },
            connections: 1,
            seconds,
            next: () => requests[lane].pop(),
          }),
        ),
      );
      const count = lanes.reduce((sum, lane) => sum + lane.count, 0);
      const client = process.cpuUsage(client0);
      results.push({
        perSecond: lanes.reduce((sum, lane) => sum + lane.perSecond, 0),
        p99: Math.max(...lanes.map((lane) => lane.p99)),
        cpuMicros: ((cpuSeconds([instance.pid]) - own0) / count) * 1e6,
        postgresCpuMicros: ((cpuSeconds(instance.postgresPids()) - pg0) / count) * 1e6,
        clientCpuMicros: (client.user + client.system) / count,
      });
    }
    const of = (member) => median(results.map((r) => r[member]));
    const perSecond = of('perSecond');
    const half = await renewAtHalfLoad(port, secure, fleet, perSecond / 2);
    return [
      {
        name: 'simplereenroll, kept connections',
        target: '400/s, p99 < 100 ms at half load',
        met: perSecond >= 400 && half.p99 < 100,
        perSecond,
        p99: of('p99'),
        halfLoadPerSecond: half.perSecond,
        halfLoadP99: half.p99,
        cpuMicros: of('cpuMicros'),
        postgresCpuMicros: of('postgresCpuMicros'),
        clientCpuMicros: of('clientCpuMicros'),
      },
    ];
  } finally {
    await instance.stop();
  }
}

async function renewAtHalfLoad(port, secure, fleet, perSecond) {
  const count = Math.ceil(perSecond * HALF_LOAD_SECONDS);
  // Any connection may take any share of them: each has enough for half of all.
  const requests = fleet.map((device) =>
    Array.from({ length: Math.ceil(count / 2) }, () => estRequest('simplereenroll', makeRequest(device).csr)),
  );
  const secures = fleet.map((device) => ({ ...secure, cert: device.certificate, key: device.key }));
  const connections = await keptConnections(port, secures);
  try {
    return await paced(perSecond, count, () => connections.send((lane) => requests[lane].pop()));
  } finally {
    connections.close();
  }
}
