import type { Logger } from 'pino';
import type { Clock } from '#kernel';
import { readPostmaster } from './postmaster.js';

const LOOK_MS = 2_000;
/** A server that somebody stops for a moment is theirs to start; one that is gone for longer has died. */
const DOWN_MS = 10_000;

/** Looks after a server that runs: one that is down for 10 s is started again. Returns how to end that. */
export function keepRunning(
  dataDirectory: string,
  restart: () => Promise<unknown>,
  clock: Clock,
  log: Logger,
): () => Promise<void> {
  let downSince: number | undefined;
  let looking: Promise<void> | undefined;
  const look = async () => {
    if (await isAlive(dataDirectory)) {
      downSince = undefined;
      return;
    }
    downSince ??= clock.monotonicMs();
    if (clock.monotonicMs() - downSince < DOWN_MS) return;
    log.error('ALARM: embedded Postgres is down; starting it again');
    await restart();
    downSince = undefined;
    log.warn('embedded Postgres is up again');
  };
  const timer = setInterval(() => {
    looking ??= look()
      .catch((err: unknown) => log.error({ err }, 'embedded Postgres could not be started again; next try follows'))
      .finally(() => {
        looking = undefined;
      });
  }, LOOK_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await looking;
  };
}

async function isAlive(dataDirectory: string): Promise<boolean> {
  const postmaster = await readPostmaster(dataDirectory);
  if (postmaster === undefined) return false;
  try {
    process.kill(postmaster.pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there, as another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
