import type { TokenEntry } from '#status';

/** Good at this moment: active, or rotated and within the overlap; never after its own end. */
export function isUsable(entry: Pick<TokenEntry, 'status' | 'expiresAt' | 'endsAt'>, now: Date): boolean {
  if (entry.status !== 'active' && entry.status !== 'retiring') return false;
  if (entry.expiresAt !== null && entry.expiresAt <= now) return false;
  return entry.endsAt === null || entry.endsAt > now;
}
