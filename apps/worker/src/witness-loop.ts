import type { Logger } from 'pino';
import { readAuditVerifier, type WitnessTarget } from '#audit';
import { AuthorityError, isAuthorityError, type Clock } from '#kernel';
import { findCheckpoint, newestWitnessed, recordWitness, type Database } from '#store';
import type { WorkerDeps } from './deps.js';
import { deliver } from './witness-delivery.js';

export interface WitnessLoopParts {
  database: Database;
  clock: Clock;
  log: Logger;
  targets: readonly WitnessTarget[];
  replaceFile: WorkerDeps['replaceFile'];
}

/** A target gets the newest checkpoint at most so often. */
const PACE_MS = 1000;
const MAX_BACKOFF_MS = 60_000;

/** Brings the newest checkpoint to each target, each at its own pace: one that is down holds up no other, nor the sealer. */
export class WitnessLoop {
  private readonly lanes: Lane[];

  constructor(parts: WitnessLoopParts) {
    this.lanes = parts.targets.map((target) => new Lane(parts, target));
  }

  /** There is a new checkpoint. */
  wake(): void {
    for (const lane of this.lanes) lane.wake();
  }

  async stop(): Promise<void> {
    await Promise.all(this.lanes.map((lane) => lane.stop()));
  }

  /** What a target knows against this log. That one cannot be reached is no problem of the worker's: it is logged. */
  problems(): string[] {
    return this.lanes.flatMap(({ problem }) => problem ?? []);
  }
}

class Lane {
  problem: string | undefined;
  private wanted = false;
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private failures = 0;
  private readonly abort = new AbortController();

  constructor(
    private readonly parts: WitnessLoopParts,
    private readonly target: WitnessTarget,
  ) {}

  wake(): void {
    this.wanted = true;
    if (this.timer === undefined && this.running === undefined) this.run();
  }

  async stop(): Promise<void> {
    clearTimeout(this.timer);
    this.abort.abort();
    await this.running;
  }

  private run(): void {
    this.timer = undefined;
    if (!this.wanted || this.abort.signal.aborted) return;
    this.wanted = false;
    this.running = this.attempt().then((waitMs) => {
      this.running = undefined;
      if (this.abort.signal.aborted) return;
      this.timer = setTimeout(() => this.run(), waitMs);
      this.timer.unref();
    });
  }

  /** Milliseconds until the next. */
  private async attempt(): Promise<number> {
    try {
      await this.bring();
      if (this.failures > 0)
        this.parts.log.info({ witness: this.target.name }, 'the audit witness takes checkpoints again');
      this.failures = 0;
      this.problem = undefined;
      return PACE_MS;
    } catch (error) {
      if (this.abort.signal.aborted) return 0;
      this.tell(error);
      this.wanted = true;
      this.failures += 1;
      return Math.min(MAX_BACKOFF_MS, PACE_MS * 2 ** (this.failures - 1));
    }
  }

  private async bring(): Promise<void> {
    const { database, replaceFile } = this.parts;
    const [key, checkpoint, taken] = await database.transaction(async (tx) => [
      await readAuditVerifier(tx),
      await findCheckpoint(tx),
      await newestWitnessed(tx, this.target.name),
    ]);
    if (checkpoint === undefined || taken >= checkpoint.size) return;
    if (key === undefined) throw new AuthorityError('unavailable', 'there is no key for audit checkpoints');
    const line = await deliver({ database, key, replaceFile, signal: this.abort.signal }, this.target, checkpoint);
    await database.transaction((tx) => recordWitness(tx, checkpoint.size, this.target.name, line));
  }

  private tell(error: unknown): void {
    const { log } = this.parts;
    const said = { err: error, witness: this.target.name, failures: this.failures + 1 };
    if (isAuthorityError(error) && error.code === 'auditTreeBroken') {
      this.problem = `an audit witness contradicts this log: ${error.detail}`;
      log.error(said, 'ALARM: an audit witness knows another history than this log tells');
    } else if (this.failures === 0) {
      log.warn(said, 'an audit witness did not take the checkpoint; it is tried again');
    }
  }
}
