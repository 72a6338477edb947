import { AuthorityError, type Clock } from '#kernel';

const WINDOW_MS = 60_000;
const MAX_TRACKED = 100_000;

interface Window {
  startedAt: number;
  count: number;
}

/** Counts failed authentications per address and per secret in windows of a minute, in this process. */
export class FailedAttempts {
  private readonly windows = new Map<string, Window>();

  constructor(
    private readonly clock: Clock,
    private readonly limits: { perAddressPerMinute: number; perSecretPerMinute: number },
  ) {}

  /** Throws `limited` with the seconds to wait when the address, or the secret, has failed too often. */
  check(address: string, secretId?: string): void {
    this.checkOne(`address ${address}`, this.limits.perAddressPerMinute);
    if (secretId !== undefined) this.checkOne(`secret ${secretId}`, this.limits.perSecretPerMinute);
  }

  record(address: string, secretId?: string): void {
    this.count(`address ${address}`);
    if (secretId !== undefined) this.count(`secret ${secretId}`);
  }

  /** True as long as this address has not filled the audit log with refusals in this minute; counts one. */
  mayRecordRefusal(address: string): boolean {
    const name = `refusals ${address}`;
    const window = this.windows.get(name);
    const current = window !== undefined && window.startedAt + WINDOW_MS > this.clock.monotonicMs();
    if (current && window.count >= this.limits.perAddressPerMinute) return false;
    this.count(name);
    return true;
  }

  private checkOne(name: string, limit: number): void {
    const window = this.windows.get(name);
    if (!window) return;
    const remaining = window.startedAt + WINDOW_MS - this.clock.monotonicMs();
    if (remaining <= 0) {
      this.windows.delete(name);
    } else if (window.count >= limit) {
      throw new AuthorityError('limited', 'too many failed authentications; wait before the next try', {
        retryAfter: Math.ceil(remaining / 1000),
      });
    }
  }

  private count(name: string): void {
    const now = this.clock.monotonicMs();
    const window = this.windows.get(name);
    if (window && window.startedAt + WINDOW_MS > now) {
      window.count += 1;
      return;
    }
    if (this.windows.size >= MAX_TRACKED) this.dropOldest(now);
    this.windows.set(name, { startedAt: now, count: 1 });
  }

  /** Insertion order is the order of age; ended windows go first, then the oldest. */
  private dropOldest(now: number): void {
    for (const [name, window] of this.windows) {
      if (this.windows.size < MAX_TRACKED && window.startedAt + WINDOW_MS > now) return;
      this.windows.delete(name);
    }
  }
}
