import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, chmod } from 'node:fs/promises';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** As `npm start` calls Node, up to `serve`. */
const COMMAND = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'))
  .scripts.start.split(' ')
  .slice(2, -1);

/** With millions of rows, and a machine that has other things to do. */
const READY_LIMIT_MS = 120_000;

/** An instance in a process of its own, as `npm start` runs it, on a fresh home and free ports. */
export async function startInstance({ planes, home: given, env: settings = {} } = {}) {
  const began = performance.now();
  const home = given ?? (await mkdtemp(path.join(tmpdir(), 'touchmark-bench-')));
  await chmod(home, 0o711);
  const args = [...COMMAND, 'serve', ...(planes ? ['--planes', planes] : [])];
  const env = {
    ...process.env,
    TOUCHMARK_HOME: home,
    TOUCHMARK_EST_PORT: '0',
    TOUCHMARK_API_PORT: '0',
    TOUCHMARK_STATUS_PORT: '0',
    LOG_LEVEL: 'warn',
    NODE_ENV: 'production',
    ...settings,
  };
  const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'inherit', 'inherit'] });
  process.once('exit', () => child.kill('SIGTERM'));
  const ready = await readyFile(home, child);
  return {
    home,
    pid: child.pid,
    startSeconds: (performance.now() - began) / 1000,
    urls: { est: ready.est, api: ready.api, status: ready.status },
    rootPem: await readFile(ready.root, 'utf8'),
    token: (await readFile(ready.operatorToken, 'utf8')).trim(),
    secret: (name) => readFile(path.join(home, 'secrets', name), 'utf8').then((text) => text.trim()),
    postgresPids: () => postgresPids(home),
    postgresCpuSeconds: () => postgresCpuSeconds(postgresPids(home)),
    stop: async ({ keep = false } = {}) => {
      child.kill('SIGTERM');
      await new Promise((resolve) => child.once('exit', resolve));
      if (!keep) await rm(home, { recursive: true, force: true });
    },
  };
}

async function readyFile(home, child) {
  const limit = Date.now() + READY_LIMIT_MS;
  while (Date.now() < limit) {
    if (child.exitCode !== null) throw new Error(`the instance ended with ${child.exitCode}`);
    try {
      return JSON.parse(await readFile(path.join(home, 'ready.json'), 'utf8'));
    } catch {
      await delay(50);
    }
  }
  throw new Error(`the instance was not ready within ${READY_LIMIT_MS / 1000} s`);
}

/** A baseline server in a process of its own: `bench/lib/baseline.mjs <kind>`. */
export async function startBaseline(kind, input) {
  const child = spawn(process.execPath, [path.join(ROOT, 'bench/lib/baseline.mjs'), kind], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  process.once('exit', () => child.kill('SIGKILL'));
  child.stdin.end(JSON.stringify(input));
  const [line] = await new Promise((resolve) =>
    child.stdout.once('data', (data) => resolve(data.toString().split('\n'))),
  );
  return {
    pid: child.pid,
    port: Number(line),
    stop: async () => {
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
    },
  };
}

const TICKS = 100;

/** CPU seconds (user and system) that processes have used; Linux only, undefined elsewhere. */
export function cpuSeconds(pids) {
  let total = 0;
  for (const pid of pids) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
      total += (Number(fields[11]) + Number(fields[12])) / TICKS;
    } catch {
      return undefined;
    }
  }
  return total;
}

/** Backends come and go: what ended ones have used stands with the postmaster, the first of `pids`. */
function postgresCpuSeconds([postmaster, ...backends]) {
  const fields = readFileSync(`/proc/${postmaster}/stat`, 'utf8').split(') ')[1].split(' ');
  const ended = (Number(fields[13]) + Number(fields[14])) / TICKS;
  return [postmaster, ...backends].reduce((sum, pid) => sum + (cpuSeconds([pid]) ?? 0), ended);
}

/** Megabytes that processes hold, what they share counted once; Linux only, undefined elsewhere. */
export function memoryMb(pids) {
  let kilobytes = 0;
  for (const pid of pids) {
    try {
      kilobytes += Number(/^Pss: *(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
    } catch {
      return undefined;
    }
  }
  return kilobytes / 1024;
}

/** The postmaster of the home, with every backend it has now. Ended backends count through their parent. */
function postgresPids(home) {
  const postmaster = Number(readFileSync(path.join(home, 'pg/postmaster.pid'), 'utf8').split('\n')[0]);
  return [postmaster, ...readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === postmaster)];
}

function parentOf(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')[1]);
  } catch {
    return undefined;
  }
}
