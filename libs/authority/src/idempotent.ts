import { createHash, createHmac, randomBytes } from 'node:crypto';
import { answerKey, open, seal, sealContext, type Pepper } from '#credential';
import { addSeconds, AuthorityError } from '#kernel';
import { lockIdempotent, storeIdempotent, type IdempotentAnswer } from '#store';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';

export interface IdempotentRequest {
  /** The Idempotency-Key header; undefined: every request is a new one. */
  key: string | undefined;
  /** Method and route pattern. */
  route: string;
  /** The parsed body: the same key with another one is refused. */
  body: unknown;
  /** The answer carries a secret: kept at most 10 minutes. */
  secret: boolean;
}

export interface Answer<T> {
  status: number;
  body: T;
  replayed: boolean;
}

const SECRET_SECONDS = 600;
const PLAIN_SECONDS = 86_400;

/**
 * Runs `work` once per principal and key, in one transaction with the storing of its answer; a repetition gets that answer,
 * opened with the key itself, which is stored nowhere, and the pepper. `work` must use the context it is given.
 * Throws `conflict` for the same key with another request, and when the answer is not kept any more.
 */
export async function withIdempotency<T>(
  a: AuthorityContext,
  actor: Actor,
  request: IdempotentRequest,
  work: (joined: AuthorityContext) => Promise<{ status: number; body: T }>,
): Promise<Answer<T>> {
  const { key } = request;
  if (key === undefined) return { ...(await work(a)), replayed: false };
  if (!/^[\x21-\x7e]{8,200}$/.test(key)) {
    throw new AuthorityError('malformed', 'Idempotency-Key: 8 to 200 visible ASCII characters', {
      member: 'Idempotency-Key',
    });
  }
  // In one order everywhere, whichever version a plane seals under meanwhile: nobody waits for whoever waits for him.
  const versions = [...a.peppers.values()].toSorted((one, other) => one.version - other.version);
  const places = versions.map((pepper) => placeOf(pepper, key));
  const requestHash = createHash('sha256')
    .update(`${request.route}\n${JSON.stringify(request.body ?? null)}`)
    .digest();
  let wantedSeq = 0;
  const answer = await a.database.transaction(
    async (tx) => {
      wantedSeq = 0;
      // Holds back a parallel repetition until the answer stands.
      for (const { bound, keyHash } of places) {
        const stored = await lockIdempotent(tx, actor.id, keyHash);
        if (stored) return { ...replay<T>(a, actor, request, bound, requestHash, stored), replayed: true };
      }
      const { bound, keyHash } = placeOf(a.pepper, key);
      const follower = {
        index: a.follower.index,
        assertFresh: (maxAgeMs: number) => a.follower.assertFresh(maxAgeMs),
        catchUp: (seq: number) => {
          wantedSeq = Math.max(wantedSeq, seq);
          return Promise.resolve();
        },
      };
      const made = await work({
        ...a,
        follower,
        database: { transaction: (inner) => inner(tx), single: (inner) => inner(tx) },
      });
      const salt = randomBytes(16);
      const plain = Buffer.from(JSON.stringify(made.body));
      await storeIdempotent(tx, {
        principal: actor.id,
        organizationId: actor.organizationId,
        keyHash,
        requestHash,
        status: made.status,
        salt,
        sealed: seal(answerKey(bound, actor.id, salt), plain, sealContext('answer', { route: request.route })),
        expiresAt: addSeconds(a.clock.now(), request.secret ? SECRET_SECONDS : PLAIN_SECONDS),
      });
      return { ...made, replayed: false };
    },
    scopeOf(a, actor),
  );
  if (wantedSeq > 0) await a.follower.catchUp(wantedSeq);
  return answer;
}

/** Under the pepper: an Idempotency-Key that can be guessed opens nothing in a dump of the database. */
function placeOf(pepper: Pepper, key: string): { bound: string; keyHash: Buffer } {
  const bound = createHmac('sha256', pepper.key).update(`idempotency:1\n${key}`).digest('hex');
  return { bound, keyHash: createHash('sha256').update(bound).digest() };
}

function replay<T>(
  a: AuthorityContext,
  actor: Actor,
  request: IdempotentRequest,
  bound: string,
  requestHash: Buffer,
  stored: IdempotentAnswer,
): { status: number; body: T } {
  if (!stored.requestHash.equals(requestHash)) {
    throw new AuthorityError('conflict', 'this Idempotency-Key was used for another request', {
      code: 'idempotencyKeyReused',
    });
  }
  if (stored.sealed === null || stored.expiresAt <= a.clock.now()) {
    throw new AuthorityError('conflict', 'this request was done already; its answer is not kept any more', {
      code: 'idempotencyKeyExpired',
    });
  }
  const context = sealContext('answer', { route: request.route });
  const plain = open(answerKey(bound, actor.id, stored.salt), stored.sealed, context);
  return { status: stored.status, body: JSON.parse(plain.toString()) as T };
}
