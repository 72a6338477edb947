import { createHmac, type KeyObject } from 'node:crypto';
import type { Logger } from 'pino';
import type { Clock } from '#kernel';
import { countFailures, type Database } from '#store';
import type { AuthorityContext } from './context.js';

const BLOCKED_MS = 60_000;
const MAX_BLOCKED = 100_000;
const LISTEN_AGAIN_MS = 5000;

export interface SharedFailuresOptions {
  /** Planes count apart: devices that fail must not shut out operators behind the same address. */
  plane: AuthorityContext['plane'];
  database: Pick<Database, 'single' | 'listen'>;
  clock: Clock;
  /** secrets/status.mac, which every process has. */
  macKey: KeyObject;
  log: Logger;
}

/**
 * Failures counted over all processes: each failure is added in the database, in one statement for all that wait, and who
 * reaches a limit is told to every process. A process that missed it learns of it at its own next failure. Without a
 * database nothing is added; what this process counts for itself goes on.
 */
export class SharedFailures {
  /** By hash, until when (monotonic). */
  private readonly blocked = new Map<string, number>();
  private pending = new Map<string, { failures: number; limit: number }>();
  private adding: Promise<void> | undefined;
  private unlisten: (() => Promise<void>) | undefined;
  private listenTimer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(private readonly options: SharedFailuresOptions) {}

  /** Listens for limits that other processes see reached. */
  async start(): Promise<void> {
    const { database, log } = this.options;
    const lost = (error: Error): void => {
      if (this.stopped) return;
      log.warn({ err: error }, 'limits of other processes are not told just now');
      clearTimeout(this.listenTimer);
      this.listenTimer = setTimeout(() => void this.start(), LISTEN_AGAIN_MS);
      this.listenTimer.unref();
    };
    try {
      const before = this.unlisten;
      this.unlisten = undefined;
      await before?.().catch(() => undefined);
      this.unlisten = await database.listen('touchmark_limits', (name) => this.block(name), lost);
    } catch (error) {
      lost(error instanceof Error ? error : new Error(String(error)));
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.listenTimer);
    await this.adding;
    await this.unlisten?.().catch(() => undefined);
  }

  get blocksAny(): boolean {
    return this.blocked.size > 0;
  }

  /** Milliseconds for which all processes refuse the name; 0: they do not. */
  blockedFor(name: string): number {
    if (!this.blocksAny) return 0;
    const hash = this.hashOf(name);
    const until = this.blocked.get(hash);
    if (until === undefined) return 0;
    const left = until - this.options.clock.monotonicMs();
    if (left > 0) return left;
    this.blocked.delete(hash);
    return 0;
  }

  /** Counts one failure; it is added soon, together with others. */
  add(name: string, limit: number): void {
    const hash = this.hashOf(name);
    const known = this.pending.get(hash);
    this.pending.set(hash, { failures: (known?.failures ?? 0) + 1, limit });
    this.adding ??= this.addPending().finally(() => {
      this.adding = undefined;
    });
  }

  /** Resolves when everything counted so far has been added, or could not be. */
  async settle(): Promise<void> {
    await this.adding;
  }

  private async addPending(): Promise<void> {
    const { database, log } = this.options;
    await Promise.resolve();
    while (this.pending.size > 0) {
      const given = this.pending;
      this.pending = new Map();
      const counted = [...given].map(([name, one]) => ({ name, ...one }));
      try {
        for (const { name, total } of await database.single((tx) => countFailures(tx, counted))) {
          if (total >= (given.get(name)?.limit ?? Infinity)) this.block(name);
        }
      } catch (error) {
        log.warn({ err: error }, 'failures could not be counted over all processes; this one counts for itself');
      }
    }
  }

  private block(hash: string): void {
    for (const oldest of this.blocked.keys()) {
      if (this.blocked.size < MAX_BLOCKED) break;
      this.blocked.delete(oldest);
    }
    this.blocked.set(hash, this.options.clock.monotonicMs() + BLOCKED_MS);
  }

  private hashOf(name: string): string {
    const { plane, macKey } = this.options;
    return createHmac('sha256', macKey).update(`touchmark:failed-attempt:1\n${plane} ${name}`).digest('hex');
  }
}
