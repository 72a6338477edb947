import type { Logger } from 'pino';
import { markRelayed, takeFromOutbox, type Database, type OutboxRow } from '#store';
import type { Queues, Wanted } from './queues.js';

const POLL_MS = 250;
const BLOCK = 500;
/** A row relayed so long ago and not done has lost its job, or its job goes on failing: it is relayed again. */
const STALE_SECONDS = 30;
const LISTEN_AGAIN_MS = 5000;

/**
 * Carries outbox rows to the queues, at least once: the row is marked in the transaction that holds it locked while the job
 * is added. A notification is a hint; polling is what bounds the delay.
 */
export class OutboxRelay {
  private timer: NodeJS.Timeout | undefined;
  private listenTimer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private again = false;
  private stopped = false;
  private unlisten: (() => Promise<void>) | undefined;

  constructor(
    private readonly database: Database,
    private readonly queues: Pick<Queues, 'wantCrls' | 'wantOcspAnswers' | 'wantGroups' | 'wantNames' | 'wantRas'>,
    private readonly log: Logger,
  ) {}

  async start(): Promise<void> {
    await this.listen();
    this.poll();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.listenTimer);
    await this.running;
    await this.unlisten?.().catch(() => undefined);
  }

  private async listen(): Promise<void> {
    const lost = (error: Error): void => {
      if (this.stopped) return;
      this.log.warn({ err: error }, 'outbox notifications are lost; polling goes on');
      clearTimeout(this.listenTimer);
      this.listenTimer = setTimeout(() => void this.listen(), LISTEN_AGAIN_MS);
      this.listenTimer.unref();
    };
    try {
      const before = this.unlisten;
      this.unlisten = undefined;
      await before?.().catch(() => undefined);
      this.unlisten = await this.database.listen('touchmark_outbox', () => void this.poke(), lost);
    } catch (error) {
      lost(error instanceof Error ? error : new Error(String(error)));
    }
  }

  private poll(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => void this.poke().finally(() => this.poll()), POLL_MS);
    this.timer.unref();
  }

  private poke(): Promise<void> {
    if (this.running !== undefined) {
      this.again = true;
      return this.running;
    }
    this.running = this.drain().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  private async drain(): Promise<void> {
    try {
      do {
        this.again = false;
        while (!this.stopped && (await this.relayBlock()) === BLOCK);
      } while (this.again && !this.stopped);
    } catch (error) {
      this.log.warn({ err: error }, 'the outbox cannot be relayed just now; it is tried again');
    }
  }

  private async relayBlock(): Promise<number> {
    return this.database.transaction(async (tx) => {
      const rows = await takeFromOutbox(tx, BLOCK, STALE_SECONDS);
      if (rows.length === 0) return 0;
      await this.queues.wantCrls(subjects(rows, 'crl.wanted'));
      await this.queues.wantOcspAnswers(subjects(rows, 'ocsp.wanted'));
      await this.queues.wantGroups(subjects(rows, 'group.wanted'));
      await this.queues.wantNames(subjects(rows, 'name.wanted'));
      await this.queues.wantRas(subjects(rows, 'ra.wanted'));
      await markRelayed(
        tx,
        rows.map(({ id }) => id),
      );
      return rows.length;
    });
  }
}

/** Each subject once; of several traces that want the same, the first is followed. */
function subjects(rows: readonly OutboxRow[], topic: OutboxRow['topic']): Wanted[] {
  const wanted = new Map<string, Wanted>();
  for (const { topic: of, subject, trace } of rows) {
    if (of !== topic || wanted.has(subject)) continue;
    wanted.set(subject, { subject, trace: trace === null ? {} : { traceparent: trace } });
  }
  return [...wanted.values()];
}
