import { randomBytes } from 'node:crypto';
import { open, seal, sealContext, type SealingKey } from '#credential';
import { addSeconds, AuthorityError, isAuthorityError } from '#kernel';
import {
  dropExpiredSignInAttempts,
  insertSignInAttempt,
  takeSignInAttempt,
  type SignInAttemptKind,
  type SignInAttemptRow,
} from '#store';
import { scopeOf, systemActor, type AuthorityContext } from '../context.js';

/** Seconds in which a sign-in that has begun must come back. */
export const ATTEMPT_SECONDS = 600;

/** Where a request without a caller comes from. */
export interface From {
  address: string;
  requestId: string;
}

/**
 * Keeps what a sign-in must come back with, sealed, for 10 minutes. Answers the name it is kept under, which cannot be
 * guessed. Throws `limited` for an address that begins too many.
 */
export async function beginAttempt(
  a: AuthorityContext,
  from: From,
  kind: SignInAttemptKind,
  content: object,
): Promise<string> {
  a.failedAttempts.check(from.address);
  if (!a.failedAttempts.mayBeginSignIn(from.address)) {
    throw new AuthorityError('limited', 'too many sign-ins were begun; wait before the next', { retryAfter: 60 });
  }
  const id = randomBytes(24).toString('base64url');
  const now = a.clock.now();
  const row = { id, kind, expiresAt: addSeconds(now, ATTEMPT_SECONDS) };
  const sealed = seal(kekOf(a), Buffer.from(JSON.stringify(content)), contextOf(row));
  await a.database.transaction(
    async (tx) => {
      await dropExpiredSignInAttempts(tx, now);
      await insertSignInAttempt(tx, { ...row, sealed });
    },
    scopeOf(a, systemActor(a, from.requestId)),
  );
  return id;
}

/** Gives back what was kept, once; undefined when there is nothing, it is too old, or somebody changed it. */
export async function takeAttempt<T>(
  a: AuthorityContext,
  from: From,
  kind: SignInAttemptKind,
  id: string,
): Promise<T | undefined> {
  const row = await a.database.transaction(
    (tx) => takeSignInAttempt(tx, id, kind),
    scopeOf(a, systemActor(a, from.requestId)),
  );
  if (row === undefined || row.expiresAt <= a.clock.now()) return undefined;
  try {
    return JSON.parse(open(kekOf(a), row.sealed, contextOf(row)).toString()) as T;
  } catch (error) {
    if (!isAuthorityError(error, 'internal')) throw error;
    a.log.error({ err: error }, 'a sign-in attempt was changed by somebody');
    return undefined;
  }
}

function contextOf({ id, kind, expiresAt }: Omit<SignInAttemptRow, 'sealed'>): Buffer {
  return sealContext('sign-in-attempt', { id, kind, expiresAt: expiresAt.toISOString() });
}

function kekOf({ apiKek, plane }: AuthorityContext): SealingKey {
  if (apiKek === undefined) throw new AuthorityError('internal', `nobody signs in on the ${plane} plane`);
  return apiKek;
}
