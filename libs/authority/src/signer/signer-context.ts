import type { KeyObject } from 'node:crypto';
import type { Logger } from 'pino';
import { AuthorityError, type Clock, type Lifetimes } from '#kernel';
import type { Follower } from '#status';
import { readLogHead } from '#store';
import type { IssuerDirectory } from '../issuer-directory.js';
import type { Transactor } from '../transactor.js';

/** What a signer of its own looks things up with: under its own role, and believing nothing but MACs and the status log. */
export interface SignerContext {
  database: Transactor;
  clock: Clock;
  macKey: KeyObject;
  follower: Pick<Follower, 'index' | 'catchUp'>;
  issuers: IssuerDirectory;
  lifetimes: Lifetimes;
  log: Logger;
}

/** Whatever was announced before the request is known before it is judged. */
export async function catchUp(s: SignerContext): Promise<void> {
  const { seq } = await s.database.transaction(readLogHead);
  await s.follower.catchUp(seq);
}

/** What was asked for is not what this authority recorded: `internal`, since no client of ours can bring it about. */
export function refusal(why: string): AuthorityError {
  return new AuthorityError('internal', `the signer refuses: ${why}`, { code: 'signerRefused' });
}

/** Was right when it was asked for and is not any more: nobody's fault, and asked for again in another form. */
export function overtaken(why: string): AuthorityError {
  return new AuthorityError('unavailable', `the signer refuses: ${why}`, { retryAfter: 1 });
}
