import type { Clock } from '#kernel';

/** Told one by one in a minute; what comes beyond is told as a number. */
const TOLD_PER_MINUTE = 20;
const WINDOW_MS = 60_000;

/**
 * Keeps whoever reaches the signer from filling the audit log with refusals: in each minute the first ones are told, the
 * others counted, and their number is told once when the minute is over.
 */
export class RefusalLimit {
  private began = -Infinity;
  private told = 0;
  private untold = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly tellCount: (count: number) => Promise<void>,
  ) {}

  /** Whether this one is told by itself. Else it is counted. */
  async take(): Promise<boolean> {
    if (this.clock.monotonicMs() - this.began >= WINDOW_MS) {
      await this.flush();
      this.began = this.clock.monotonicMs();
      this.told = 0;
    }
    if (this.told < TOLD_PER_MINUTE) {
      this.told++;
      return true;
    }
    this.untold++;
    this.timer ??= setTimeout(() => void this.flush(), WINDOW_MS).unref();
    return false;
  }

  /** Tells what was counted and not told yet. */
  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const count = this.untold;
    this.untold = 0;
    if (count > 0) await this.tellCount(count);
  }
}
