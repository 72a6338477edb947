import type { Logger } from './log.js';

/** A graceful stop takes 10 s at most. */
const HARD_LIMIT_MS = 15_000;

export interface StopSignal {
  /** Resolves at the first SIGTERM or SIGINT, or at the first failure nobody caught. */
  readonly requested: Promise<void>;
  isRequested(): boolean;
  /** The status to exit with: 0 after a signal, 1 after a failure. */
  status(): number;
}

/**
 * Takes the process's signals. One Ctrl-C arrives twice, from the terminal and from npm, so further ones change nothing.
 * What has not stopped after 15 s (`hardLimitMs`) is ended with status 1; `lastWords` runs then.
 */
export function listenForStop(log: Logger, lastWords: () => void, hardLimitMs = HARD_LIMIT_MS): StopSignal {
  const { promise, resolve } = Promise.withResolvers<void>();
  let asked = false;
  let status = 0;
  const request = (reason: string) => {
    if (asked) return;
    asked = true;
    log.info({ reason }, 'stopping');
    setTimeout(() => {
      log.fatal(`not stopped after ${hardLimitMs / 1000} s: ending now`);
      lastWords();
      process.exit(1);
    }, hardLimitMs).unref();
    resolve();
  };
  process.on('SIGTERM', () => request('SIGTERM'));
  process.on('SIGINT', () => request('SIGINT'));
  process.on('uncaughtException', (err) => {
    status = 1;
    log.fatal({ err }, 'failure that nothing caught');
    request('failure');
  });
  return { requested: promise, isRequested: () => asked, status: () => status };
}
