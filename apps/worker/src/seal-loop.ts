import type { Logger } from 'pino';
import { BATCH, openAuditKey, Sealer, type CheckpointMemory } from '#audit';
import type { SealingKey } from '#credential';
import { isAuthorityError, type Clock } from '#kernel';
import type { Database } from '#store';

export interface SealLoopParts {
  database: Database;
  clock: Clock;
  log: Logger;
  /** secrets/audit.kek, 32 bytes. */
  auditKek: SealingKey;
  memory: CheckpointMemory;
  /** An event is sealed within this time. */
  sealMs: number;
}

const ALARM_AGAIN_MS = 60_000;

/**
 * Seals what was written, all the time. Asking often is cheaper than being told: a NOTIFY per event would be one more thing
 * that every transaction does at its commit.
 */
export class SealLoop {
  private sealer: Sealer | undefined;
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private stopped = false;
  private problem: string | undefined;
  private alarmedAt = -Infinity;

  /** `sealed` is called after each new checkpoint. */
  constructor(
    private readonly parts: SealLoopParts,
    private readonly sealed: () => void,
  ) {}

  /** Tries once before it resolves; what fails is told by `problems` and tried again. */
  async start(): Promise<void> {
    await this.run();
    this.schedule();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  problems(): string[] {
    return this.problem === undefined ? [] : [this.problem];
  }

  private schedule(): void {
    if (this.stopped) return;
    // Half of it, so that waiting and sealing together stay below.
    this.timer = setTimeout(() => void this.run().then(() => this.schedule()), this.parts.sealMs / 2);
    this.timer.unref();
  }

  private run(): Promise<void> {
    this.running = this.sealAll();
    return this.running;
  }

  private async sealAll(): Promise<void> {
    try {
      this.sealer ??= await this.open();
      for (let added = BATCH; added === BATCH && !this.stopped;) {
        added = await this.sealer.seal();
        if (added > 0) this.sealed();
      }
      this.problem = undefined;
    } catch (error) {
      this.tell(error);
    }
  }

  private async open(): Promise<Sealer> {
    const { database, clock, auditKek, memory } = this.parts;
    const signing = await database.transaction((tx) => openAuditKey(tx, auditKek));
    return new Sealer({ database, clock, signing, memory });
  }

  private tell(error: unknown): void {
    const { clock, log } = this.parts;
    if (isAuthorityError(error, 'unavailable')) {
      this.problem = `the audit log is not sealed: ${error.detail}`;
      log.warn({ err: error }, 'the audit log cannot be sealed just now; it is tried again');
      return;
    }
    this.problem = `the audit log is not sealed: ${isAuthorityError(error) ? error.detail : 'the sealer fails'}`;
    if (clock.monotonicMs() - this.alarmedAt < ALARM_AGAIN_MS) return;
    this.alarmedAt = clock.monotonicMs();
    log.error({ err: error }, 'ALARM: the audit log is not sealed; nothing is signed until this is cleared up');
  }
}
