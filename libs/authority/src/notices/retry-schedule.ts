import { randomInt } from 'node:crypto';
import { addSeconds } from '#kernel';

const MINUTE = 60;
const HOUR = 3600;

/** Seconds from one failed try to the next; after the last of them the delivery has failed. About two days in all. */
export const RETRY_SECONDS: readonly number[] = [
  5,
  30,
  2 * MINUTE,
  10 * MINUTE,
  HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  24 * HOUR,
];

const JITTER_PARTS = 1000;

/**
 * When to try again after try number `attempt` (1-based) failed: the delay and up to a tenth more, so that what failed
 * together does not come back together. Undefined when there is no further try.
 */
export function retryAt(at: Date, attempt: number): Date | undefined {
  const seconds = RETRY_SECONDS[attempt - 1];
  if (seconds === undefined) return undefined;
  return addSeconds(at, seconds * (1 + randomInt(JITTER_PARTS + 1) / (10 * JITTER_PARTS)));
}

/** The state of a delivery whose try failed. */
export function afterFailure(at: Date, attemptsBefore: number): { state: 'pending' | 'failed'; nextAt: Date } {
  const nextAt = retryAt(at, attemptsBefore + 1);
  return nextAt === undefined ? { state: 'failed', nextAt: at } : { state: 'pending', nextAt };
}
