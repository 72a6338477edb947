import { timingSafeEqual, type KeyObject } from 'node:crypto';
import { chainMacRow, type Pepper } from '#credential';
import { AuthorityError, type Clock } from '#kernel';
import {
  EMPTY_LOG,
  encodeStatusRow,
  highestPublishedSeq,
  readLogHead,
  readStatusChanges,
  type Database,
  type LogHead,
  type Scope,
  type StatusRow,
  type TransactionOptions,
  type Tx,
} from '#store';
import { documentVersion, loadEntries, type LoadedEntries } from './load-entries.js';
import { StatusIndex, type ReadonlyStatusIndex } from './status-index.js';

export interface FollowerOptions {
  database: Database;
  macKey: KeyObject;
  clock: Clock;
  pollMs: number;
  /** Peppers by version, where this plane checks keys and tokens; undefined: certificates, devices and groups only. */
  peppers: ReadonlyMap<number, Pepper> | undefined;
  /** False for a plane that nobody signs in to: keys and people are loaded, tokens are not. Default true. */
  tokens?: boolean;
  /** Of the api plane, whose role sees keys and tokens by scope: the authority's own. */
  scope?: Scope;
  onError: (error: Error) => void;
  /** Called after rows were applied, before anyone waiting for them goes on. */
  onApplied?: (rows: readonly StatusRow[]) => void;
}

const BATCH = 10_000;

/** The log is everybody's: under the api plane's row-level security too, each key must load, whoever owns it. */
const EVERY_ROW: TransactionOptions = {
  scope: { organizationId: '00000000-0000-0000-0000-000000000000', authority: true },
};

/**
 * Keeps a StatusIndex up to the log. Each row is believed only if its MAC continues the chain from the row before; the
 * first one that does not stops the follower for good (`broken`), which keeps what it had and grows old.
 * A notification is a hint; polling is what bounds the delay.
 */
export class Follower {
  private readonly statusIndex = new StatusIndex();
  private head: LogHead = EMPTY_LOG;
  private syncedAt: Date | undefined;
  private syncedMonotonic = -Infinity;
  private brokenBy: Error | undefined;
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<Error | undefined> | undefined;
  private again = false;
  private stopped = false;
  private unlisten: (() => Promise<void>) | undefined;

  constructor(private readonly options: FollowerOptions) {}

  get index(): ReadonlyStatusIndex {
    return this.statusIndex;
  }

  /** When the log was last seen to be wholly applied: the moment at which every status in the index was true. */
  get lastSync(): Date | undefined {
    return this.syncedAt;
  }

  /** Milliseconds since then. */
  get ageMs(): number {
    return this.options.clock.monotonicMs() - this.syncedMonotonic;
  }

  /** Why the log is not believed any more. */
  get broken(): Error | undefined {
    return this.brokenBy;
  }

  /** Applies the whole log, then goes on following. Throws when the log is not to be believed or cannot be read. */
  async start(): Promise<void> {
    await this.sync();
    if (this.brokenBy) throw this.brokenBy;
    const published = await this.options.database.transaction(highestPublishedSeq, this.scoped());
    if (published > this.head.seq) {
      this.brokenBy = new AuthorityError(
        'internal',
        `the status log ends at ${this.head.seq}, but ${published} was published already: was an old database restored?`,
        { code: 'statusRollback' },
      );
      throw this.brokenBy;
    }
    this.unlisten = await this.options.database
      .listen('touchmark_status', () => void this.poke(), this.options.onError)
      .catch((error: Error) => {
        this.options.onError(error);
        return undefined;
      });
    this.schedule();
  }

  /**
   * Returns once every row up to `seq` is applied: what a route does with its receipt before it answers. Throws
   * `unavailable` where the log cannot be read: the change stands, and the same request again answers it.
   */
  async catchUp(seq: number): Promise<void> {
    while (this.head.seq < seq && !this.stopped) {
      if (this.brokenBy) throw this.brokenBy;
      const cause = await this.poke();
      if (cause && this.head.seq < seq) {
        throw new AuthorityError(
          'unavailable',
          'the change is recorded, but could not be read back just now; repeat the request',
          {
            cause,
            retryAfter: 2,
          },
        );
      }
    }
  }

  /** Throws `unavailable` when the index is older than `maxAgeMs` or broken: whoever issues must not go on then. */
  assertFresh(maxAgeMs: number): void {
    if (this.brokenBy || this.ageMs > maxAgeMs) {
      throw new AuthorityError('unavailable', 'the status log cannot be followed just now; nothing was decided', {
        retryAfter: 5,
        cause: this.brokenBy,
      });
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.unlisten?.().catch(this.options.onError);
    await this.running?.catch(() => undefined);
  }

  private schedule(): void {
    if (this.stopped || this.brokenBy) return;
    this.timer = setTimeout(() => {
      void this.poke().finally(() => this.schedule());
    }, this.options.pollMs);
    this.timer.unref();
  }

  /** One sync at a time; a poke during one asks for another right after it. Resolves to why the last one failed. */
  private poke(): Promise<Error | undefined> {
    if (this.running) {
      this.again = true;
      return this.running;
    }
    this.running = this.run().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  private async run(): Promise<Error | undefined> {
    do {
      this.again = false;
      try {
        await this.sync();
      } catch (thrown) {
        const error = thrown instanceof Error ? thrown : new Error(String(thrown));
        this.options.onError(error);
        return error;
      }
    } while (this.again && !this.stopped && !this.brokenBy);
    return undefined;
  }

  private async sync(): Promise<void> {
    if (this.brokenBy) return;
    const startedAt = this.options.clock.now();
    const startedMonotonic = this.options.clock.monotonicMs();
    for (;;) {
      const { target, rows, loaded } = await this.options.database.transaction((tx) => this.fetch(tx), EVERY_ROW);
      if (target.seq < this.head.seq) return this.break('statusRollback', `the status log went back to ${target.seq}`);
      if (rows.length === 0 && target.seq > this.head.seq) {
        return this.break('statusGap', `the status log lacks the rows after ${this.head.seq}`);
      }
      if (!this.applyRows(rows, loaded)) return;
      if (this.head.seq >= target.seq) {
        if (this.head.seq === target.seq && !timingSafeEqual(this.head.mac, target.mac)) {
          return this.break('statusMac', 'the status counter does not fit the log');
        }
        break;
      }
    }
    this.syncedAt = startedAt;
    this.syncedMonotonic = startedMonotonic;
  }

  private scoped(): TransactionOptions {
    return this.options.scope ? { scope: this.options.scope } : {};
  }

  /** The counter first, then the rows: whatever the counter names is there, or was taken away. */
  private async fetch(tx: Tx): Promise<{
    target: LogHead;
    rows: StatusRow[];
    loaded: LoadedEntries;
  }> {
    const target = await readLogHead(tx);
    const rows = target.seq > this.head.seq ? await readStatusChanges(tx, this.head.seq, BATCH) : [];
    return { target, rows, loaded: await loadEntries(tx, rows, this.statusIndex, this.options) };
  }

  private applyRows(rows: StatusRow[], { keys, tokens, people, documents }: LoadedEntries): boolean {
    for (const row of rows) {
      const mac = chainMacRow(this.options.macKey, this.head.mac, encodeStatusRow(row.seq, row));
      if (row.seq !== this.head.seq + 1 || row.mac.length !== mac.length || !timingSafeEqual(mac, row.mac)) {
        this.break(
          'statusMac',
          `row ${row.seq} of the status log was not written by this authority, or one before it is gone`,
        );
        return false;
      }
      const loaded = {
        key: keys.get(row.subject),
        token: tokens.get(row.subject),
        person: people.get(row.subject),
        document: documents.get(documentVersion(row)),
      };
      if (!this.statusIndex.apply(row, loaded)) {
        this.options.onError(
          new Error(`ALARM: row ${row.seq} would revive the revoked ${row.kind} ${row.subject}; passed over`),
        );
      }
      this.head = { seq: row.seq, mac };
    }
    if (rows.length > 0) this.options.onApplied?.(rows);
    return true;
  }

  private break(code: string, text: string): void {
    this.brokenBy = new AuthorityError('internal', text, { code });
    this.options.onError(this.brokenBy);
  }
}
