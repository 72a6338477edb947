import { createHmac, randomBytes, timingSafeEqual, type KeyObject } from 'node:crypto';
import type { Clock } from '#kernel';

/** From the challenge to the response; within it a client may use the nonce for more requests. */
const LIFE_MS = 300_000;
/** How much later than ours the clock of another process may be. */
const SKEW_MS = 60_000;
const MAX_CLAIMED = 100_000;

const TIME_BYTES = 6;
const RANDOM_BYTES = 16;
const MAC_BYTES = 32;
const LENGTH = TIME_BYTES + RANDOM_BYTES + MAC_BYTES;

/**
 * Nonces of HTTP Digest. Every process knows those of all, also after a restart, and none remembers a challenge (E46): a
 * nonce is a time and random bytes under a MAC. What was used is remembered, in this process and as long as it could be
 * used again: until then the one-time secret is not always bound.
 */
export class DigestNonces {
  /** By nonce and count, in the order of time. */
  private readonly claimed = new Map<string, { by: object; until: number }>();

  /** `macKey`: secrets/status.mac, which every process has. */
  constructor(
    private readonly clock: Clock,
    private readonly macKey: KeyObject,
  ) {}

  /** base64url, 72 characters. */
  make(): string {
    const body = Buffer.alloc(TIME_BYTES + RANDOM_BYTES);
    body.writeUIntBE(this.clock.now().getTime(), 0, TIME_BYTES);
    randomBytes(RANDOM_BYTES).copy(body, TIME_BYTES);
    return Buffer.concat([body, this.macOf(body)]).toString('base64url');
  }

  /** `foreign`: not made by this authority. */
  judge(nonce: string): 'fresh' | 'old' | 'foreign' {
    const bytes = Buffer.from(nonce, 'base64url');
    if (bytes.length !== LENGTH || bytes.toString('base64url') !== nonce) return 'foreign';
    const body = bytes.subarray(0, -MAC_BYTES);
    if (!timingSafeEqual(bytes.subarray(-MAC_BYTES), this.macOf(body))) return 'foreign';
    const age = this.clock.now().getTime() - body.readUIntBE(0, TIME_BYTES);
    return age >= -SKEW_MS && age < LIFE_MS ? 'fresh' : 'old';
  }

  /** True for the request that proved itself by nonce and count first, however often it asks; false for every other. */
  claim(nonce: string, nc: string, by: object): boolean {
    const now = this.clock.monotonicMs();
    const name = `${nonce} ${nc}`;
    const before = this.claimed.get(name);
    if (before !== undefined) return before.by === by;
    for (const [oldest, { until }] of this.claimed) {
      if (this.claimed.size < MAX_CLAIMED && until > now) break;
      this.claimed.delete(oldest);
    }
    this.claimed.set(name, { by, until: now + LIFE_MS + SKEW_MS });
    return true;
  }

  private macOf(body: Buffer): Buffer {
    return createHmac('sha256', this.macKey).update('touchmark:digest-nonce:1\n').update(body).digest();
  }
}
