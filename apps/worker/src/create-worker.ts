import { Registry } from 'prom-client';
import { reconcileIntents, reconcileIssuers, type Issuer } from '#authority';
import { AuthorityError } from '#kernel';
import { OcspDelegates, publishNeededCrls, type Publisher } from '#publication';
import { AuditTrail } from './audit-trail.js';
import { Canary } from './canary/canary.js';
import { DatabaseFigures } from './database-figures.js';
import type { WorkerDeps } from './deps.js';
import { exposeFigures } from './figures-metrics.js';
import { renewDelegates, type JobContext } from './jobs.js';
import { NoticeJobs } from './notice-jobs.js';
import { OutboxRelay } from './outbox-relay.js';
import { queueBackend } from './queue-backend.js';
import { Queues } from './queues.js';
import { findProblems } from './readiness.js';

export interface Worker {
  /** Publishes what has to stand published, then takes up the jobs. Throws when that cannot be done. */
  start(): Promise<void>;
  /** Says that the planes around it are about to stop: what it tries with them counts no more. */
  expectStop(): void;
  /** At most 10 s; jobs that are cut off are taken up by the next start. */
  stop(): Promise<void>;
  /** Why it is not ready; empty when it is. */
  ready(): string[];
}

const CHECK_MS = 5000;

export async function createWorker(deps: WorkerDeps): Promise<Worker> {
  const { authority, config, database, follower, ocspKek, registry = new Registry() } = deps;
  const { clock, log, signer } = authority;
  const delegates = new OcspDelegates(ocspKek, (issuerId, error) =>
    log.error({ issuerId, err: error }, 'ALARM: a published OCSP delegate is not usable'),
  );
  const publisher: Publisher = { database, clock, signer, follower, delegates, lifetimes: config.lifetimes, log };
  const canary = deps.canary && new Canary(authority, deps.canary, registry);
  const context: JobContext = { authority, publisher, ocspKek, canary, notices: new NoticeJobs(authority) };
  const backend = queueBackend(config.redisUrl, deps.connection, log);
  const worker = new RunningWorker(context, backend, new AuditTrail(deps), registry, deps.canary?.everySeconds);
  const figures = new DatabaseFigures(database, () => worker.jobs, clock, log);
  exposeFigures(registry, figures, deps.canary && clock.now());
  return worker;
}

class RunningWorker implements Worker {
  private problems: string[] = ['the worker is starting'];
  private queues: Queues | undefined;
  private relay: OutboxRelay | undefined;
  private timer: NodeJS.Timeout | undefined;
  private checking: Promise<void> | undefined;
  private stopped = false;
  /** Issuers that have what they need to be activated. */
  private readonly published = new Set<string>();

  constructor(
    private readonly context: JobContext,
    private readonly backend: ReturnType<typeof queueBackend>,
    private readonly trail: AuditTrail,
    private readonly registry: Registry,
    private readonly canarySeconds: number | undefined,
  ) {}

  get jobs(): Queues | undefined {
    return this.queues;
  }

  async start(): Promise<void> {
    const { authority, publisher } = this.context;
    const issuers = await authority.issuers.list();
    if (issuers.length === 0) throw new AuthorityError('unavailable', 'no certification authority is set up yet');
    await Promise.all([this.backend.prepare(), this.publishFirst()]);
    const { canarySeconds } = this;
    const canary = canarySeconds === undefined ? undefined : { seconds: canarySeconds, from: publisher.clock.now() };
    this.queues = new Queues(this.backend, publisher.lifetimes, publisher.log, canary);
    await this.queues.prepare();
    await this.queues.ensureSchedules(
      issuers.map(({ id }) => id),
      true,
    );
    this.queues.run(this.context, this.registry);
    this.relay = new OutboxRelay(publisher.database, this.queues, publisher.log);
    await this.relay.start();
    await this.trail.start();
    await this.check();
    this.schedule();
  }

  ready(): string[] {
    return [...this.problems, ...this.trail.problems()];
  }

  expectStop(): void {
    this.context.canary?.leave();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.expectStop();
    this.problems = ['the worker is stopping'];
    clearTimeout(this.timer);
    await this.checking;
    await this.relay?.stop();
    await this.trail.stop();
    this.context.notices.stop();
    await this.queues?.close();
  }

  /** The same functions as the jobs, at once: nobody is told that this instance is ready before status is published. */
  private async publishFirst(): Promise<void> {
    const { authority } = this.context;
    await reconcileIntents(authority);
    await reconcileIssuers(authority);
    await this.publishNew(await authority.issuers.list());
  }

  /** What a CA needs before it issues: a delegate, and CRLs that say that nothing is revoked yet. */
  private async publishNew(issuers: readonly Issuer[]): Promise<void> {
    const fresh = issuers.filter(({ id }) => !this.published.has(id));
    if (fresh.length === 0) return;
    // CRLs first: with its delegate a CA counts as published.
    for (const issuer of fresh) await publishNeededCrls(this.context.publisher, issuer);
    await renewDelegates(this.context);
    for (const { id } of fresh) this.published.add(id);
  }

  private schedule(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      this.checking = this.check();
      void this.checking.then(() => this.schedule());
    }, CHECK_MS);
    this.timer.unref();
  }

  /** Also gives a queue that lost its schedules new ones, and takes over delegates that another worker renewed. */
  private async check(): Promise<void> {
    const { authority, publisher } = this.context;
    try {
      const issuers = await authority.issuers.list();
      await this.publishNew(issuers);
      await publisher.delegates.refresh(publisher.database, issuers);
      await this.queues?.ensureSchedules(
        issuers.map(({ id }) => id),
        false,
      );
      const problems = await findProblems(publisher, issuers);
      if (!this.stopped) this.problems = problems;
    } catch (error) {
      publisher.log.warn({ err: error }, 'the worker cannot check itself just now');
      if (!this.stopped) this.problems = ['the database or the queue cannot be reached'];
    }
  }
}
