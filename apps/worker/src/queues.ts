import type { JobsOptions, Queue, Worker } from 'bullmq';
import type { Logger } from 'pino';
import { addSeconds, type Lifetimes, type Registry } from '#kernel';
import { isJobName, type JobContext, type JobName } from './jobs.js';
import { JobRunner } from './job-runner.js';
import type { QueueBackend } from './queue-backend.js';

/** Three queues: what a revocation waits for never stands behind upkeep, and neither of them behind a slow receiver. */
const PUBLICATION = 'touchmark-publication';
const UPKEEP = 'touchmark-upkeep';
const NOTICES = 'touchmark-notices';
/** Of its own: a run may take a minute, and no two run at a time, however many workers there are. */
const CANARY = 'touchmark-canary';
const CONCURRENCY = { [PUBLICATION]: 4, [UPKEEP]: 2, [NOTICES]: 5, [CANARY]: 1 } as const;

const RETRY: JobsOptions = { attempts: 5, backoff: { type: 'exponential', delay: 500 } };
const CLOSE_LIMIT_MS = 8000;

interface Schedule {
  id: string;
  queue: Queue;
  everyMs: number;
  startDate?: Date;
  name: JobName;
  data: Record<string, string>;
}

/** What is wanted of a subject, and the trace that it follows from. */
export interface Wanted {
  subject: string;
  trace: { traceparent?: string };
}

/** The queues, their workers and their schedules. What is queued is only what to look at; the database says what to do. */
export class Queues {
  private readonly publication: Queue;
  private readonly upkeep: Queue;
  private readonly notices: Queue;
  private readonly canary: Queue | undefined;
  private workers: Worker[] = [];

  constructor(
    private readonly backend: QueueBackend,
    private readonly lifetimes: Lifetimes,
    private readonly log: Logger,
    private readonly canaryTimes: { seconds: number; from: Date } | undefined = undefined,
  ) {
    this.publication = backend.queue(PUBLICATION);
    this.upkeep = backend.queue(UPKEEP);
    this.notices = backend.queue(NOTICES);
    this.canary = canaryTimes && backend.queue(CANARY);
  }

  async prepare(): Promise<void> {
    await this.canary?.setGlobalConcurrency(1);
  }

  /** At most one job of an issuer runs and one waits; changes in between are gathered for `crlDebounceMs`. */
  async wantCrls(issuers: readonly Wanted[]): Promise<void> {
    for (const { subject: issuerId, trace } of issuers)
      await this.publication.add('crl.publish', { issuerId, ...trace }, this.crlOptions(issuerId));
  }

  async wantOcspAnswers(serials: readonly Wanted[]): Promise<void> {
    if (serials.length === 0) return;
    await this.publication.addBulk(
      serials.map(({ subject: serial, trace }) => ({
        name: 'ocsp.publish',
        data: { serial, ...trace },
        opts: { ...RETRY, deduplication: { id: `ocsp-${serial}`, keepLastIfActive: true } },
      })),
    );
  }

  /** One job of a group runs, and one waits for a later change of it. */
  async wantGroups(groups: readonly Wanted[]): Promise<void> {
    for (const { subject: groupId, trace } of groups) {
      const deduplication = { id: `group-${groupId}`, keepLastIfActive: true };
      await this.upkeep.add('group.follow', { groupId, ...trace }, { ...RETRY, deduplication });
    }
  }

  /** As for groups, of a disabled domain or user. */
  async wantNames(holders: readonly Wanted[]): Promise<void> {
    for (const { subject: holderId, trace } of holders) {
      const deduplication = { id: `name-${holderId}`, keepLastIfActive: true };
      await this.upkeep.add('name.follow', { holderId, ...trace }, { ...RETRY, deduplication });
    }
  }

  /** As for groups, of what a registration authority obtained. */
  async wantRas(obtained: readonly Wanted[]): Promise<void> {
    for (const { subject, trace } of obtained) {
      const deduplication = { id: `ra-${subject.replace(':', '-')}`, keepLastIfActive: true };
      await this.upkeep.add('ra.follow', { subject, ...trace }, { ...RETRY, deduplication });
    }
  }

  /** Jobs by queue and state. */
  async count(): Promise<{ queue: string; state: string; count: number }[]> {
    const counted = await Promise.all(
      this.all().map(async (queue) =>
        Object.entries(await queue.getJobCounts('waiting', 'active', 'delayed', 'failed')).map(([state, count]) => ({
          queue: queue.name,
          state,
          count,
        })),
      ),
    );
    return counted.flat();
  }

  run(context: JobContext, registry: Registry): void {
    const runner = new JobRunner(context, registry);
    this.workers = this.all().map(({ name }) => {
      const worker = this.backend.worker(
        name,
        async (job) => {
          if (!isJobName(job.name)) throw new Error(`there is no job ${job.name}`);
          return runner.run(job.name, job.data);
        },
        CONCURRENCY[name as keyof typeof CONCURRENCY],
      );
      worker.on('failed', (job, error) =>
        this.log.error({ err: error, job: job?.name, data: job?.data as unknown }, 'job failed'),
      );
      return worker;
    });
  }

  /** Makes the schedules that are missing: at start all are set anew, later a lost queue gets its own back. */
  async ensureSchedules(issuerIds: readonly string[], all: boolean): Promise<void> {
    for (const { id, queue, everyMs, startDate, name, data } of this.schedules(issuerIds)) {
      if (!all && (await queue.getJobScheduler(id)) !== undefined) continue;
      await queue.upsertJobScheduler(
        id,
        { every: everyMs, ...(startDate && { startDate }) },
        { name, data, opts: RETRY },
      );
    }
  }

  /** Lets running jobs end for 8 s; what is cut off then is given back when its lock ends. */
  async close(): Promise<void> {
    await Promise.all(
      this.workers.map(async (worker) => {
        const timer = setTimeout(() => void worker.close(true), CLOSE_LIMIT_MS);
        await worker.close().catch((error: unknown) => this.log.warn({ err: error }, 'worker close'));
        clearTimeout(timer);
      }),
    );
    await Promise.all(this.all().map((queue) => queue.close().catch(() => undefined)));
  }

  private all(): Queue[] {
    return [this.publication, this.upkeep, this.notices, ...(this.canary ? [this.canary] : [])];
  }

  /** First once so long after the start: an instance that has just come up has other things to do. */
  private canarySchedule(): Schedule[] {
    const { canary, canaryTimes } = this;
    if (canary === undefined || canaryTimes === undefined) return [];
    const { seconds, from } = canaryTimes;
    const name = 'canary.run';
    return [{ id: name, queue: canary, everyMs: seconds * 1000, startDate: addSeconds(from, seconds), name, data: {} }];
  }

  private crlOptions(issuerId: string): JobsOptions {
    return {
      ...RETRY,
      delay: this.lifetimes.crlDebounceMs,
      deduplication: { id: `crl-${issuerId}`, keepLastIfActive: true },
    };
  }

  private schedules(issuerIds: readonly string[]): Schedule[] {
    const minute = 60_000;
    const every = (queue: Queue, name: JobName, everyMs: number): Schedule => ({
      id: name,
      queue,
      everyMs,
      name,
      data: {},
    });
    const upkeep = (name: JobName, everyMs: number): Schedule => every(this.upkeep, name, everyMs);
    const notices = (name: JobName, everyMs: number): Schedule => every(this.notices, name, everyMs);
    return [
      // Looks each time whether a CRL is due; it is published anew only at its rebuild age or after a change.
      ...issuerIds.map((issuerId) => ({
        id: `crl.publish-${issuerId}`,
        queue: this.publication,
        everyMs: Math.min(minute, this.lifetimes.crlRebuild * 500),
        name: 'crl.publish' as const,
        data: { issuerId },
      })),
      upkeep('ocsp.refresh', Math.min(10 * minute, this.lifetimes.ocspRenew * 500)),
      upkeep('ocsp.delegates', 60 * minute),
      // With the half minute that it leaves to whoever asked: none is open for a minute.
      upkeep('intents.reconcile', minute / 4),
      upkeep('certificates.supersede', minute),
      upkeep('expiry.sweep', minute),
      upkeep('approvals.expire', minute),
      // Looks each time whether a search is due: after an import, and daily.
      upkeep('keys.scan', minute),
      upkeep('domains.recheck', 60 * minute),
      upkeep('housekeeping', 24 * 60 * minute),
      notices('notices.dispatch', 1000),
      notices('notices.deliver', 1000),
      notices('notices.mail', 5000),
      notices('notices.expiry', 60 * minute),
      notices('notices.purge', 60 * minute),
      ...this.canarySchedule(),
    ];
  }
}
