import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { encodeFields, encodeParts } from './fields.js';
import { open, seal } from './seal.js';
import type { Credential, CredentialKind } from './text.js';

const LABELS: Readonly<Record<CredentialKind, string>> = {
  apiKey: 'tmk1:verify',
  operatorToken: 'tmo1:verify',
  enrollmentSecret: 'tme1:verify',
  invitation: 'tmi1:verify',
};

/** Compared against when there is nothing stored, so that an unknown id costs what a wrong secret costs. */
const NOTHING_STORED = Buffer.alloc(32);

/** The key, kept outside the database, under which verifier hashes are sealed. */
export interface Pepper {
  /** Stored beside each sealed verifier; a rewrap moves rows from one version to the next without any secret. */
  version: number;
  /** 32 bytes. */
  key: Buffer;
}

/**
 * SHA-256 over label, environment (empty for kinds without one), id and secret, each with its length. A plain hash is
 * enough: the secret has 256 random bits, and slow hashes are for guessable ones (NIST SP 800-63B 5.1.2.2).
 */
export function verifierHash(credential: Pick<Credential, 'kind' | 'environment' | 'id' | 'secret'>): Buffer {
  const { kind, environment, id, secret } = credential;
  return hash('sha256', encodeParts([LABELS[kind], environment ?? '', id, secret]), 'buffer');
}

/**
 * What a CMC identity proof is computed with (RFC 5272 section 6.2.1), out of a verifier hash: both sides can make it, and it opens
 * nothing else. base64url of 32 bytes, 43 characters.
 */
export function cmcSharedSecret(verifier: Buffer): string {
  return createHmac('sha256', verifier).update('tme1:cmc').digest('base64url');
}

/** Sealing the hash means that a dump verifies nothing and that who can only write rows cannot plant a working key. */
export function sealVerifier(pepper: Pepper, verifier: Buffer, aad: Buffer): Buffer {
  return seal(pepper.key, verifier, aad);
}

/** The 32-byte hash; `internal` with code `sealBroken` when pepper, row or associated data are not the ones it was sealed with. */
export function openVerifier(pepper: Pepper, sealed: Buffer, aad: Buffer): Buffer {
  const verifier = open(pepper.key, sealed, aad);
  if (verifier.length !== NOTHING_STORED.length) {
    throw new AuthorityError('internal', 'A sealed verifier does not hold a SHA-256 hash', { code: 'sealBroken' });
  }
  return verifier;
}

/** Constant time. Without a stored hash it does the same work against zeros and returns false. */
export function verifierMatches(stored: Buffer | undefined, presented: Buffer): boolean {
  const expected = stored ?? NOTHING_STORED;
  if (expected.length !== presented.length) return false;
  const equal = timingSafeEqual(expected, presented);
  return equal && stored !== undefined;
}

/**
 * Associated data that ties a sealed value to its row: kind of value and the row's immutable fields, sorted by name,
 * injective. A value moved to another row, or whose row was edited, no longer opens.
 */
export function sealContext(kind: string, fields: Readonly<Record<string, string>>): Buffer {
  return encodeParts(['touchmark:seal', kind, encodeFields(fields)]);
}
