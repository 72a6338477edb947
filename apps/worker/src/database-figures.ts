import type { Logger } from 'pino';
import type { Clock } from '#kernel';
import { readFigures, type Database, type Figures } from '#store';
import type { Queues } from './queues.js';

const FRESH_MS = 5000;
const STATEMENT_MS = 2000;
/** A scrape waits no longer; Prometheus gives it 10 s in all. */
const DEADLINE_MS = 3000;

/** What was read last; `offsetSeconds`: how far the clock of this process is ahead of the database's. */
export interface ReadFigures extends Figures {
  offsetSeconds: number;
  jobs: Awaited<ReturnType<Queues['count']>>;
  readAt: number;
}

/**
 * The figures of the database, read on demand, at most every 5 s and one reading at a time, however many ask. Where one
 * fails or takes too long the last one is given: its age tells.
 */
export class DatabaseFigures {
  private last: ReadFigures | undefined;
  private triedAt = -Infinity;
  private running: Promise<void> | undefined;

  constructor(
    private readonly database: Database,
    private readonly queues: () => Queues | undefined,
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  async current(): Promise<ReadFigures | undefined> {
    if (this.clock.monotonicMs() - this.triedAt >= FRESH_MS) this.running ??= this.read();
    if (this.running !== undefined) await atMost(this.running, DEADLINE_MS);
    return this.last;
  }

  /** Seconds since the last reading that succeeded; undefined before the first. */
  get ageSeconds(): number | undefined {
    return this.last && (this.clock.monotonicMs() - this.last.readAt) / 1000;
  }

  private async read(): Promise<void> {
    const begin = this.clock.monotonicMs();
    try {
      const { at, figures } = await this.database.transaction(async (tx) => ({
        at: this.clock.now(),
        figures: await readFigures(tx, STATEMENT_MS),
      }));
      const offsetSeconds = (at.getTime() - figures.now.getTime()) / 1000;
      const jobs = (await this.queues()?.count()) ?? [];
      this.last = { ...figures, jobs, offsetSeconds, readAt: begin };
    } catch (error) {
      this.log.warn({ err: error }, 'the figures of the database cannot be read just now');
    } finally {
      this.triedAt = begin;
      this.running = undefined;
    }
  }
}

async function atMost(work: Promise<void>, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}
