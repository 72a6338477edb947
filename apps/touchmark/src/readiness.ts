import { isAuthorityError } from '#kernel';
import type { PlaneContext } from './plane-context.js';

const STALE_MS = 60_000;

/** Why the plane cannot do its work now; empty when it can. */
export async function planeReadiness(plane: Pick<PlaneContext, 'database' | 'follower'>): Promise<string[]> {
  const reasons: string[] = [];
  try {
    await plane.database.rows('select 1');
  } catch (error) {
    reasons.push(isAuthorityError(error, 'unavailable') ? 'database: not reachable' : 'database: failing');
  }
  if (plane.follower.broken) reasons.push('status log: not believed');
  else if (plane.follower.ageMs > STALE_MS) reasons.push('status log: not read for more than 60 s');
  return reasons;
}
