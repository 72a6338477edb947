import { AuthorityError, type Clock } from '#kernel';
import type { SharedFailures } from './shared-failures.js';

const WINDOW_MS = 60_000;
const MAX_TRACKED = 100_000;

/** Refusals of all addresses together that are recorded in a minute, in multiples of what one may have. */
const ALL_ADDRESSES = 20;
/** Begun sign-ins of all together, likewise: each is a row for ten minutes, and keeping others out must be dear. */
const ALL_SIGN_INS = 200;

/** One network for one subscriber: an IPv6 /64, an IPv4 address. */
function network(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(':')) return mapped ?? address;
  const [head = '', tail] = address.split('%', 1)[0]!.split('::');
  const left = head.split(':').filter((group) => group !== '');
  const right = tail === undefined ? [] : tail.split(':').filter((group) => group !== '');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array.from({ length: Math.max(zeros, 0) }, () => '0'), ...right].slice(0, 4).join(':');
}

interface Window {
  startedAt: number;
  count: number;
}

/**
 * Counts failed authentications per address and per secret in windows of a minute: in this process at once, and over all
 * processes where `shared` is given.
 */
export class FailedAttempts {
  private readonly windows = new Map<string, Window>();

  constructor(
    private readonly clock: Clock,
    private readonly limits: { perAddressPerMinute: number; perSecretPerMinute: number },
    private readonly shared?: Pick<SharedFailures, 'add' | 'blocksAny' | 'blockedFor' | 'settle'>,
  ) {}

  /** Throws `limited` with the seconds to wait when the address, or the secret, has failed too often. */
  check(address: string, secretId?: string): void {
    if (this.windows.size === 0 && !this.shared?.blocksAny) return;
    this.checkOne(`address ${network(address)}`, this.limits.perAddressPerMinute);
    if (secretId !== undefined) this.checkOne(`secret ${secretId}`, this.limits.perSecretPerMinute);
  }

  record(address: string, secretId?: string): void {
    const { perAddressPerMinute, perSecretPerMinute } = this.limits;
    this.recordOne(`address ${network(address)}`, perAddressPerMinute);
    if (secretId !== undefined) this.recordOne(`secret ${secretId}`, perSecretPerMinute);
  }

  /** Resolves when what was recorded counts in every process. Never throws. */
  async settle(): Promise<void> {
    await this.shared?.settle();
  }

  /** True as long as neither this address nor all of them have begun too many sign-ins in this minute; counts one. */
  mayBeginSignIn(address: string): boolean {
    return this.mayCount('sign-ins', address, ALL_SIGN_INS);
  }

  /** True as long as neither this address nor all of them have filled the audit log with refusals in this minute; counts one. */
  mayRecordRefusal(address: string): boolean {
    return this.mayCount('refusals', address, ALL_ADDRESSES);
  }

  /** `all`: what all addresses together may have, in multiples of what one may have. */
  private mayCount(what: string, address: string, all: number): boolean {
    const own = `${what} ${network(address)}`;
    const limit = this.limits.perAddressPerMinute;
    if (this.current(own) >= limit || this.current(what) >= limit * all) return false;
    this.count(own);
    this.count(what);
    return true;
  }

  private current(name: string): number {
    const window = this.windows.get(name);
    return window && window.startedAt + WINDOW_MS > this.clock.monotonicMs() ? window.count : 0;
  }

  private recordOne(name: string, limit: number): void {
    this.count(name);
    this.shared?.add(name, limit);
  }

  private checkOne(name: string, limit: number): void {
    const blocked = Math.max(this.blockedHere(name, limit), this.shared?.blockedFor(name) ?? 0);
    if (blocked > 0) {
      throw new AuthorityError('limited', 'too many failed authentications; wait before the next try', {
        retryAfter: Math.ceil(blocked / 1000),
      });
    }
  }

  /** Milliseconds for which this process refuses the name by its own count. */
  private blockedHere(name: string, limit: number): number {
    const window = this.windows.get(name);
    if (!window) return 0;
    const remaining = window.startedAt + WINDOW_MS - this.clock.monotonicMs();
    if (remaining <= 0) this.windows.delete(name);
    return remaining > 0 && window.count >= limit ? remaining : 0;
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
