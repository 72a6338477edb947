import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { databaseAccount } from '../../apps/touchmark/src/postgres/account.js';
import { findBinaries } from '../../apps/touchmark/src/postgres/binaries.js';
import { run } from '../../apps/touchmark/src/postgres/run.js';
import { ProcessInstance } from '../harness/process-instance.js';
import { silent } from '../harness/database.js';
import { Load, type Losses, type Try } from './load.js';

export interface RestartReport extends Losses {
  restarts: number;
  requests: number;
  /** Answered with 503 and `Retry-After`. */
  refused: number;
  /** Everything else that was no success. */
  strange: Try[];
  slowestMs: number;
  /** From the moment Postgres answers again to the end of the last request that failed; the longest. */
  backMs: number;
  /** That request. */
  lastRefused?: string;
}

/** Longer than coming back may take, so that it would be seen. */
const WATCHED_MS = 6000;

/** Under load, Postgres is ended with `immediate` (no checkpoint, no goodbye) and started again, over and over. */
export async function restartPostgresUnderLoad(plan: { restarts: number; perSecond: number }): Promise<RestartReport> {
  const instance = await ProcessInstance.prepared();
  let load: Load | undefined;
  try {
    load = await Load.open(await instance.start(), plan.perSecond);
    load.start();
    const outages: { begin: number; end: number }[] = [];
    for (let n = 0; n < plan.restarts; n++) {
      await pause(1000 + (n % 5) * 97);
      const begin = performance.now();
      await restartPostgres(path.join(instance.home, 'pg'));
      outages.push({ begin, end: performance.now() });
      await pause(WATCHED_MS);
    }
    await load.stop();
    return report(load.tries, outages, await load.findLosses());
  } finally {
    await instance.dispose();
    await load?.abandon();
    load?.close();
  }
}

function report(
  tries: readonly Try[],
  outages: readonly { begin: number; end: number }[],
  losses: Losses,
): RestartReport {
  const failed = tries.filter(({ status }) => status !== 200 && status !== 201);
  const back = outages.flatMap(({ end }, n) => {
    const next = outages[n + 1]?.begin ?? Infinity;
    // What the next restart has cut off is not this one's.
    const late = failed.filter(({ at, ms }) => at >= end && at + ms < next);
    return late.map(({ at, ms, what, said }) => ({ ms: at + ms - end, request: `${what}: ${said}, of restart ${n}` }));
  });
  const last = back.sort((a, b) => b.ms - a.ms)[0];
  return {
    restarts: outages.length,
    requests: tries.length,
    refused: failed.filter(({ status, retryAfter }) => status === 503 && retryAfter).length,
    strange: failed.filter(({ status, retryAfter }) => status !== 503 || !retryAfter),
    slowestMs: Math.round(Math.max(...tries.map(({ ms }) => ms))),
    backMs: Math.round(last?.ms ?? 0),
    ...(last && { lastRefused: last.request }),
    ...losses,
  };
}

async function restartPostgres(dataDirectory: string): Promise<void> {
  const account = await databaseAccount(dataDirectory);
  const { pgCtl } = await findBinaries(account, silent);
  const { status, stderr } = await run(pgCtl, ['restart', '-w', '-s', '-m', 'immediate', '-l', 'server.log'], account, {
    cwd: dataDirectory,
    env: { PGDATA: dataDirectory },
  });
  if (status !== 0) throw new Error(`pg_ctl restart: ${status} ${stderr}`);
}
