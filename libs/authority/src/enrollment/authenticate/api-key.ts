import { parseCredential, verifierHash, verifierMatches } from '#credential';
import { AuthorityError } from '#kernel';
import type { KeyEntry } from '#status';
import { effectiveStatus } from '../../change-key.js';
import type { AuthorityContext } from '../../context.js';
import type { Presented } from '../est-request.js';
import type { Way } from './principal.js';

/** How old what is known of a key may be. */
const MAX_AGE_MS = 60_000;

/** An API key that was presented, is good now and may enroll. */
export interface EnrollingKey {
  key: KeyEntry;
  /** User name of HTTP Basic; empty for none. */
  user: string;
}

/**
 * API key of the app with the right to enroll (E50): as Bearer, or as the password of HTTP Basic. Checked in memory; what
 * stops a key stops it here within a poll of the log. Failures count against the address alone: a key cannot be guessed, and
 * nobody who knows its public part may lock out the app.
 */
export const byApiKey: Way = {
  method: 'apiKey',
  serves: ['simpleenroll'],
  byCertificate: false,
  asks: 'an API key that may enroll, as Bearer or as the password of HTTP Basic',

  read: (a, { presented, address }) => {
    const text = presentedApiKey(presented);
    return Promise.resolve(
      text === undefined ? undefined : { method: 'apiKey', by: checkKey(a, text, presented, address) },
    );
  },
};

/** The text of what reads as an API key; whether it is one is found out after. */
export function presentedApiKey({ bearer, basic }: Pick<Presented, 'bearer' | 'basic'>): string | undefined {
  const text = bearer ?? basic?.password;
  return text !== undefined && parseCredential(text)?.kind === 'apiKey' ? text : undefined;
}

function checkKey(a: AuthorityContext, text: string, { basic }: Presented, address: string): EnrollingKey {
  a.failedAttempts.check(address);
  a.follower.assertFresh(MAX_AGE_MS);
  const key = genuineKey(a, text);
  const status = key && effectiveStatus(key, a.clock.now());
  if (key === undefined || (status !== 'active' && status !== 'retiring')) {
    a.failedAttempts.record(address);
    throw wrongKey();
  }
  if (!key.enroll) throw new AuthorityError('forbidden', 'this API key may not enroll devices', { code: 'keyScope' });
  return { key, user: basic?.user ?? '' };
}

/** The key whose whole text this is, whatever became of it. One amount of work for a wrong one and an unknown one. */
export function genuineKey(a: Pick<AuthorityContext, 'follower'>, text: string): KeyEntry | undefined {
  const credential = parseCredential(text);
  if (credential?.kind !== 'apiKey') return undefined;
  const key = a.follower.index.key(credential.id);
  return verifierMatches(key?.verifier, verifierHash(credential)) ? key : undefined;
}

/** One text for an unknown key and for one that is expired, suspended or revoked (TX10). */
export const wrongKey = (): AuthorityError =>
  new AuthorityError('unauthenticated', 'the API key is wrong or no longer valid');
