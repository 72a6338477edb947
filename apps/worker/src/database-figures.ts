import type { Logger } from 'pino';
import type { Clock } from '#kernel';
import { readFigures, type Database, type Figures } from '#store';
import type { Queues } from './queues.js';

const FRESH_MS = 5000;
const STATEMENT_MS = 2000;
/** A scrape waits no longer; Prometheus gives it 10 s in all. */
const DEADLINE_MS = 3000;
/** A queue on Redis that is gone answers when it is back, not before. */
const COUNT_MS = 1000;

type JobCounts = Awaited<ReturnType<Queues['count']>>;

/** What was read last; `offsetSeconds`: how far the clock of this process is ahead of the database's. */
export interface ReadFigures extends Figures {
  offsetSeconds: number;
  /** Empty where the queue did not answer in time. */
  jobs: JobCounts;
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
  private counting: Promise<JobCounts> | undefined;

  constructor(
    private readonly database: Database,
    private readonly queues: () => Pick<Queues, 'count'> | undefined,
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
      const jobs = (await atMost(this.count(), COUNT_MS)) ?? [];
      this.last = { ...figures, jobs, offsetSeconds, readAt: begin };
    } catch (error) {
      this.log.warn({ err: error }, 'the figures of the database cannot be read just now');
    } finally {
      this.triedAt = begin;
      this.running = undefined;
    }
  }

  private count(): Promise<JobCounts> {
    this.counting ??= (this.queues()?.count() ?? Promise.resolve([])).finally(() => {
      this.counting = undefined;
    });
    return this.counting;
  }
}

async function atMost<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
