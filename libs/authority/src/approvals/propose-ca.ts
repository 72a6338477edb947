import type { RevocationReason } from '#policy';
import { AuthorityError } from '#kernel';
import { newId } from '#store';
import type { Actor, AuthorityContext } from '../context.js';
import type { Issuer } from '../issuer-directory.js';
import { propose, type Proposed } from './propose.js';

/** A new issuing CA under the root. `name` becomes the common name of its subject. */
export function proposeIssuer(a: AuthorityContext, actor: Actor, name: string): Promise<Proposed> {
  return propose(a, actor, 'ca.create', { issuerId: newId(a.clock), name });
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
  if (reason === 'certificateHold') {
    throw new AuthorityError('conflict', 'a CA is not put on hold; revoke it, or activate another one', {
      member: 'reason',
    });
  }
  return propose(a, actor, 'ca.revoke', { issuerId, reason });
}

/** The CA whose own certificate has this serial: it is revoked by two people, whatever way the request came. */
export async function issuerOfSerial(a: AuthorityContext, serial: Buffer | undefined): Promise<Issuer | undefined> {
  const hex = serial?.toString('hex');
  return (await a.issuers.list()).find((issuer) => issuer.serial === hex);
}
