import type { RevocationReason } from '#policy';
import { AuthorityError } from '#kernel';
import { findCertificate, newId } from '#store';
import { LINK_PROFILE } from '../certificates.js';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import type { CaWish } from './check-plan.js';
import type { CrossSigning } from './cross-sign.js';
import type { IssuerImport } from './import-issuer.js';
import { propose, type Proposed } from './propose.js';
import type { IssuerRollover } from './rollover-issuer.js';

/** A new CA. `name` becomes the common name of its subject; an issuing one under the main root where nothing else is said. */
export function proposeIssuer(
  a: AuthorityContext,
  actor: Actor,
  wish: Omit<CaWish, 'kind'> & { kind?: CaWish['kind'] | undefined },
): Promise<Proposed> {
  return propose(a, actor, 'ca.create', { issuerId: newId(a.clock), ...wish, kind: wish.kind ?? 'issuing' });
}

/** A new key beside that of a CA, under the same name; of a root with the certificates that link both. */
export function proposeIssuerRollover(
  a: AuthorityContext,
  actor: Actor,
  predecessorId: string,
  wish: Pick<IssuerRollover, 'keyType' | 'location' | 'validitySeconds'> = {},
): Promise<Proposed> {
  const [issuerId, oldWithNewId, newWithOldId] = [newId(a.clock), newId(a.clock), newId(a.clock)];
  return propose(a, actor, 'ca.rollover', { predecessorId, issuerId, oldWithNewId, newWithOldId, ...wish });
}

/** A certificate of ours for the key of another CA. */
export function proposeCrossSigning(
  a: AuthorityContext,
  actor: Actor,
  issuerId: string,
  wish: Omit<CrossSigning, 'linkId' | 'issuerId'>,
): Promise<Proposed> {
  return propose(a, actor, 'ca.crossSign', { linkId: newId(a.clock), issuerId, ...wish });
}

/** The certificate that somebody else made for one of our CAs, with the chain and the CRLs above it. */
export function proposeIssuerImport(
  a: AuthorityContext,
  actor: Actor,
  issuerId: string,
  wish: Omit<IssuerImport, 'issuerId'>,
): Promise<Proposed> {
  return propose(a, actor, 'ca.import', { issuerId, ...wish });
}

export function proposeIssuerActivation(a: AuthorityContext, actor: Actor, issuerId: string): Promise<Proposed> {
  return propose(a, actor, 'ca.activate', { issuerId });
}

/** Throws `conflict` for a hold: what a CA issued cannot be good again tomorrow. */
export async function proposeIssuerRevocation(
  a: AuthorityContext,
  actor: Actor,
  issuerId: string,
  reason: RevocationReason,
): Promise<Proposed> {
  return propose(a, actor, 'ca.revoke', { issuerId, reason: requireFinal(reason) });
}

function requireFinal(reason: RevocationReason): Exclude<RevocationReason, 'certificateHold'> {
  if (reason !== 'certificateHold') return reason;
  throw new AuthorityError('conflict', 'a CA is not put on hold; revoke it, or activate another one', {
    member: 'reason',
  });
}

/**
 * Where the serial is that of a CA, or of another certificate for the key of one, its revocation is proposed: it takes two people,
 * whatever way the request came. undefined for any other certificate. Throws as `proposeIssuerRevocation`.
 */
export async function findCaRevocation(
  a: AuthorityContext,
  actor: Actor,
  serial: Buffer | undefined,
): Promise<((joined: AuthorityContext, reason: RevocationReason) => Promise<Proposed>) | undefined> {
  if (serial === undefined) return undefined;
  const hex = serial.toString('hex');
  const issuer = (await a.issuers.list()).find((one) => one.serial === hex);
  if (issuer) return (joined, reason) => proposeIssuerRevocation(joined, actor, issuer.id, reason);
  const row = await a.database.transaction((tx) => findCertificate(tx, serial), scopeOf(a, actor));
  if (row?.profile !== LINK_PROFILE) return undefined;
  return async (joined, reason) =>
    propose(joined, actor, 'ca.revokeLink', { serial: hex, reason: requireFinal(reason) });
}
