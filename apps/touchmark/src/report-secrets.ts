import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import path from 'node:path';
import type { Logger } from 'pino';
import { forgetSecretReader, reportSecretReader, type Database, type HeldVersions } from '#store';
import { openPlaneDatabase, type DatabaseParts } from './plane-context.js';
import { SECRETS_POLL_MS } from './watch-secrets.js';
import type { Secrets } from './secrets.js';

/** So often at least a process says what it holds; at once where that has changed. */
const REPORT_EVERY = 5;

/**
 * Tells the database which versions of which keys this process holds, so that a rotation knows that it may go on. What cannot be told is
 * logged once, and the process works all the same. Resolves with the end of it, after the first report.
 */
export async function reportSecrets(
  database: Pick<Database, 'single'>,
  { rings }: Pick<Secrets, 'rings'>,
  log: Logger,
): Promise<() => Promise<void>> {
  const reader = { process: randomUUID(), host: hostname(), pid: process.pid };
  let told = '';
  let silent = 0;
  let failed = false;
  const report = async (): Promise<void> => {
    const held = heldBy(rings);
    const text = JSON.stringify(held);
    silent = text === told ? silent + 1 : REPORT_EVERY;
    if (silent < REPORT_EVERY) return;
    try {
      await database.single((tx) => reportSecretReader(tx, reader, held));
      [told, silent, failed] = [text, 0, false];
    } catch (err) {
      if (!failed) log.warn({ err }, 'which keys this process holds cannot be told; a rotation does not wait for it');
      failed = true;
    }
  };
  let running = report();
  await running;
  const timer = setInterval(() => {
    running = running.then(report);
  }, SECRETS_POLL_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await running;
    await database.single((tx) => forgetSecretReader(tx, reader.process)).catch(() => undefined);
  };
}

/** The same over a connection of its own, as the role of one plane of this process. */
export async function startReport(
  parts: DatabaseParts & { secrets: Secrets },
  role: 'api' | 'est' | 'worker' | 'responder' | 'signer',
): Promise<{ stop(): Promise<void> }> {
  const database = await openPlaneDatabase(parts, role, 1);
  const end = await reportSecrets(database, parts.secrets, parts.log);
  return {
    stop: async () => {
      await end();
      await database.close();
    },
  };
}

function heldBy(rings: Secrets['rings']): HeldVersions[] {
  return [...rings].map(([file, ring]) => ({
    secret: path.basename(file),
    versions: [...ring.byVersion.keys()].sort((one, other) => one - other),
    inUse: ring.current.version,
  }));
}
