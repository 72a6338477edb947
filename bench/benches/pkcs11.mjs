import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { basic, certificatePem, estRequest, makeDevice, makeRelease, makeRequest } from '../lib/client.mjs';
import { each, load, median, once } from '../lib/load.mjs';
import { cpuSeconds, startInstance } from '../lib/processes.mjs';

const WIDTH = 8;
const LABEL = 'touchmark-bench';
const MODULE = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so'].find((file) =>
  existsSync(file),
);

/** A SoftHSM token of its own, and the settings of an instance that makes its CA keys there. */
async function makeToken() {
  const directory = await mkdtemp(path.join(tmpdir(), 'touchmark-bench-hsm-'));
  await mkdir(path.join(directory, 'tokens'));
  const conf = path.join(directory, 'softhsm2.conf');
  await writeFile(conf, `directories.tokendir = ${directory}/tokens\nlog.level = ERROR\n`);
  const pin = path.join(directory, 'pin');
  await writeFile(pin, '12345678\n', { mode: 0o600 });
  const init = ['--init-token', '--free', '--label', LABEL, '--pin', '12345678', '--so-pin', '87654321'];
  execFileSync('softhsm2-util', init, { env: { ...process.env, SOFTHSM2_CONF: conf }, stdio: 'ignore' });
  const env = {
    SOFTHSM2_CONF: conf,
    TOUCHMARK_CA_KEYS: 'pkcs11',
    TOUCHMARK_PKCS11_MODULE: MODULE,
    TOUCHMARK_PKCS11_TOKEN: LABEL,
    TOUCHMARK_PKCS11_PIN_FILE: pin,
  };
  return { env, remove: () => rm(directory, { recursive: true, force: true }) };
}

async function fleetOf(instance) {
  const release = await makeRelease(instance);
  const fleet = [];
  await each(WIDTH, WIDTH, async () => {
    fleet.push(await makeDevice(instance, release));
  });
  const port = Number(new URL(instance.urls.est).port);
  const secure = { ca: instance.rootPem, servername: 'localhost' };
  for (const device of fleet) {
    const reply = await once(port, secure, estRequest('simpleenroll', device.csr, basic(device)));
    device.certificate = certificatePem(reply);
  }
  return { instance, port, secure, fleet };
}

/** Renewals over kept connections, where the signature is the largest part of the work that TLS does not hide. */
async function round({ instance, port, secure, fleet }, seconds) {
  const requests = fleet.map((device) =>
    Array.from({ length: 250 * seconds }, () => estRequest('simplereenroll', makeRequest(device).csr)),
  );
  const cpu0 = cpuSeconds([instance.pid]);
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
  return {
    perSecond: lanes.reduce((sum, lane) => sum + lane.perSecond, 0),
    p99: Math.max(...lanes.map((lane) => lane.p99)),
    cpuMicros: ((cpuSeconds([instance.pid]) - cpu0) / count) * 1e6,
  };
}

/** The same work in turns on sealed keys and on keys in a token. Needs SoftHSM; without it there is nothing to measure. */
export async function pkcs11({ seconds = 4, rounds = 5 } = {}) {
  if (MODULE === undefined) {
    process.stderr.write('pkcs11: SoftHSM is not installed, left out\n');
    return [];
  }
  const token = await makeToken();
  const [sealed, inToken] = [await startInstance(), await startInstance({ env: token.env })];
  try {
    const software = await fleetOf(sealed);
    const hardware = await fleetOf(inToken);
    await round(software, 1);
    await round(hardware, 1);
    const results = [];
    for (let n = 0; n < rounds; n++) {
      const baseline = await round(software, seconds);
      const ours = await round(hardware, seconds);
      results.push({ ours, baseline, ratio: ours.perSecond / baseline.perSecond });
    }
    const of = (pick) => median(results.map(pick));
    const ratio = of((r) => r.ratio);
    return [
      {
        name: 'simplereenroll, CA key in a PKCS#11 token against a sealed one',
        target: 'ratio >= 0.6',
        met: ratio >= 0.6,
        perSecond: of((r) => r.ours.perSecond),
        baselinePerSecond: of((r) => r.baseline.perSecond),
        ratio,
        p99: of((r) => r.ours.p99),
        cpuMicros: of((r) => r.ours.cpuMicros),
        ratios: results.map((r) => r.ratio),
      },
    ];
  } finally {
    await inToken.stop();
    await sealed.stop();
    await token.remove();
  }
}
