import { openVerifier, parseCredential, verifierHash, verifierMatches, type Credential } from '#credential';
import { AuthorityError } from '#kernel';
import { invitationRowMac, invitationSealContext } from '#status';
import { findInvitation, tokensOfPerson, useInvitation, type InvitationRow, type StatusChange, type Tx } from '#store';
import { statusChange } from '../change-status.js';
import { scopeOf, systemActor, type AuthorityContext } from '../context.js';
import { hasAccess } from './invite.js';
import { findActivePerson, openSession, refuseSignIn, type SignedIn } from './session.js';
import type { From } from './sign-in-attempt.js';

/**
 * A one-time code to session. Unknown, wrong, used, expired and withdrawn ones answer the same. A code that one person made
 * is worth nothing once its person has access: two people granted that, and one could come in with it. Sessions and tokens
 * from before end: whoever came in with an earlier code is somebody else.
 */
export async function redeemInvitation(a: AuthorityContext, code: string, from: From): Promise<SignedIn> {
  const parsed = parseCredential(code);
  const credential = parsed?.kind === 'invitation' ? parsed : undefined;
  a.failedAttempts.check(from.address, credential?.id);
  const session = await a.database.transaction(
    async (tx) => {
      const row = credential && (await findInvitation(tx, credential.id));
      if (!matches(a, credential, row) || row === undefined || row.expiresAt <= a.clock.now()) return undefined;
      const person = await findActivePerson(tx, a, row.personId);
      if (person === undefined || !(await isBelieved(tx, a, row))) return undefined;
      if (!(await useInvitation(tx, row.id, a.clock.now()))) return undefined;
      const changes = await endOfEarlier(tx, a, row.personId);
      return openSession(tx, a, person, from.requestId, 'invitation', { changes });
    },
    scopeOf(a, systemActor(a, from.requestId)),
  );
  if (session === undefined) throw await refuseSignIn(a, from, 'invitation', credential?.id);
  await a.follower.catchUp(session.seq);
  return session;
}

/** The same work whether there is such a code or not. */
function matches(a: AuthorityContext, credential: Credential | undefined, row: InvitationRow | undefined): boolean {
  const presented = credential === undefined ? Buffer.alloc(32) : verifierHash(credential);
  return verifierMatches(row && openInvitation(a, row), presented);
}

function openInvitation(a: AuthorityContext, row: InvitationRow): Buffer {
  const pepper = a.peppers.get(row.pepperVersion);
  if (!pepper) throw new AuthorityError('internal', 'secrets/pepper lacks a version that is in use');
  return openVerifier(pepper, row.sealedVerifier, invitationSealContext(row));
}

async function isBelieved(tx: Tx, a: AuthorityContext, row: InvitationRow): Promise<boolean> {
  if (row.mac.equals(invitationRowMac(a.macKey, row, true))) return true;
  return row.mac.equals(invitationRowMac(a.macKey, row, false)) && !(await hasAccess(tx, a, row.personId));
}

async function endOfEarlier(tx: Tx, a: AuthorityContext, personId: string): Promise<StatusChange[]> {
  const at = a.clock.now();
  const good = (await tokensOfPerson(tx, personId)).filter((id) => a.follower.index.token(id)?.status !== 'revoked');
  return good.map((subject) => statusChange({ kind: 'token', subject, status: 'revoked', at }));
}
