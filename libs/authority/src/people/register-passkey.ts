import { generateRegistrationOptions, verifyRegistrationResponse } from '@simplewebauthn/server';
import type { PublicKeyCredentialCreationOptionsJSON, RegistrationResponseJSON } from '@simplewebauthn/server';
import { AuthorityError } from '#kernel';
import { passkeyRowMac } from '#status';
import {
  findPerson,
  insertPasskey,
  lockPasskey,
  passkeysOfPerson,
  tokensOfPerson,
  type ListedPasskey,
  type Tx,
} from '#store';
import { logStatus, statusChange } from '../change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import type { Caller } from '../operator-access.js';
import { auditingRefusal } from '../refusal.js';
import { notFound } from '../registry.js';
import { isUsable } from '../tokens/usable.js';
import { beginAttempt, takeAttempt, type From } from './sign-in-attempt.js';

/** Under which name, and from which pages, passkeys are used (WebAuthn Level 3 sections 5.1.2 and 13.4.9). */
export interface RelyingParty {
  /** Host name. */
  id: string;
  /** `https://host[:port]`. */
  origin: string;
}

interface Registration {
  challenge: string;
  personId: string;
}

const MOST = 20;
/** Ed25519, ES256, RS256 (RFC 9053): what authenticators have. */
const ALGORITHMS = [-8, -7, -257];

export type PasskeyOwner = Actor & Pick<Caller, 'kind'>;

/** What the browser makes a passkey from, and the name under which to come back with it. */
export async function beginPasskey(
  a: AuthorityContext,
  actor: PasskeyOwner,
  from: From,
  party: RelyingParty,
): Promise<{ attemptId: string; options: PublicKeyCredentialCreationOptionsJSON }> {
  const personId = requireSession(actor);
  const { person, passkeys } = await a.database.transaction(
    async (tx) => ({ person: await findPerson(tx, personId), passkeys: await passkeysOfPerson(tx, personId) }),
    scopeOf(a, actor),
  );
  if (!person) throw notFound('person');
  const good = passkeys.filter((one) => a.follower.index.passkey(one.id)?.status === 'active');
  if (good.length >= MOST) {
    throw new AuthorityError('conflict', `there are ${MOST} passkeys already; remove one that is not used`);
  }
  const options = await generateRegistrationOptions({
    rpName: 'Touchmark',
    rpID: party.id,
    userName: person.email ?? person.name,
    userDisplayName: person.name,
    userID: Uint8Array.from(Buffer.from(personId)),
    attestationType: 'none',
    supportedAlgorithmIDs: ALGORITHMS,
    excludeCredentials: good.map(({ id }) => ({ id })),
    // Discoverable: who signs in types no name. Verified: the passkey alone stands for the person, so that holding the
    // device is not enough.
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
  });
  const registration: Registration = { challenge: options.challenge, personId };
  return { attemptId: await beginAttempt(a, from, 'passkeyRegistration', registration), options };
}

/** Throws `invalid` (code `passkeyRefused`) for anything that is not what was asked for, of this person, once. */
export async function registerPasskey(
  a: AuthorityContext,
  actor: PasskeyOwner,
  from: From,
  party: RelyingParty,
  request: { attemptId: string; name: string; response: RegistrationResponseJSON },
): Promise<ListedPasskey> {
  const personId = requireSession(actor);
  const begun = await takeAttempt<Registration>(a, from, 'passkeyRegistration', request.attemptId);
  const work = async () => {
    if (begun?.personId !== personId) throw passkeyRefused();
    const verified = await verifyRegistrationResponse({
      response: request.response,
      expectedChallenge: begun.challenge,
      expectedOrigin: party.origin,
      expectedRPID: party.id,
      requireUserVerification: true,
      supportedAlgorithmIDs: ALGORITHMS,
    }).catch((cause: unknown) => {
      throw passkeyRefused(cause);
    });
    if (!verified.verified) throw passkeyRefused();
    const { credential } = verified.registrationInfo;
    const row = {
      id: credential.id,
      personId,
      organizationId: actor.organizationId,
      name: request.name,
      publicKey: Buffer.from(credential.publicKey),
      counter: credential.counter,
      transports: (request.response.response.transports ?? []).slice(0, 8),
    };
    return a.database.transaction(
      (tx) => writePasskey(tx, a, actor, { ...row, mac: passkeyRowMac(a.macKey, row) }),
      scopeOf(a, actor),
    );
  };
  const made = await auditingRefusal(a, actor, 'passkey.registered', `person:${personId}`, work);
  await a.follower.catchUp(made.seq);
  return made.passkey;
}

async function writePasskey(tx: Tx, a: AuthorityContext, actor: Actor, row: Parameters<typeof insertPasskey>[1]) {
  if (!(await insertPasskey(tx, row))) throw passkeyRefused();
  const at = a.clock.now();
  const audit = {
    action: 'passkey.registered' as const,
    subject: `person:${row.personId}`,
    ...{ ownerOrgId: row.organizationId, issuerOrgId: row.organizationId },
    detail: { passkey: row.id, name: row.name },
  };
  const change = statusChange({ kind: 'passkey', subject: row.id, status: 'active', at });
  const seq = await logStatus(tx, a, actor, at, [audit], [change]);
  const passkey = (await passkeysOfPerson(tx, row.personId)).find((one) => one.id === row.id);
  if (!passkey) throw new AuthorityError('internal', 'a passkey just written is not there');
  return { passkey, seq };
}

/**
 * Final and at once: one's own, or with `person:manage` anybody's in the organization. The person's sessions end with it,
 * but for the one that asks: on a lost device one could be open, and make a new passkey.
 */
export async function removePasskey(
  a: AuthorityContext,
  actor: Actor,
  caller: Pick<Caller, 'permissions' | 'tokenId'>,
  id: string,
): Promise<{ id: string; status: 'revoked'; seq: number }> {
  const seq = await a.database.transaction(
    async (tx) => {
      const row = await lockPasskey(tx, id);
      // A program is not the person who made its token.
      const own = row !== undefined && actor.id === `person:${row.personId}`;
      if (row === undefined || !(own || caller.permissions.has('person:manage'))) throw notFound('passkey');
      const known = a.follower.index.passkey(id);
      if (known?.status === 'revoked') return known.seq;
      const at = a.clock.now();
      const audit = {
        action: 'passkey.removed' as const,
        subject: `person:${row.personId}`,
        ...{ ownerOrgId: row.organizationId, issuerOrgId: actor.organizationId },
        detail: { passkey: id, name: row.name },
      };
      const sessions = await openSessions(tx, a, row.personId);
      const changes = [
        ...sessions.filter((one) => one !== caller.tokenId).map((subject) => ({ kind: 'token' as const, subject })),
        { kind: 'passkey' as const, subject: id },
      ].map((one) => statusChange({ ...one, status: 'revoked', at }));
      return logStatus(tx, a, actor, at, [audit], changes);
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(seq);
  return { id, status: 'revoked', seq };
}

async function openSessions(tx: Tx, a: AuthorityContext, personId: string): Promise<string[]> {
  return (await tokensOfPerson(tx, personId)).filter((id) => {
    const token = a.follower.index.token(id);
    return token?.kind === 'session' && isUsable(token, a.clock.now());
  });
}

/** A stolen command line token must not make itself a lasting way in. */
function requireSession(actor: PasskeyOwner): string {
  if (actor.kind !== 'session' || actor.personId === undefined) {
    throw new AuthorityError('forbidden', 'passkeys are made by the person who signed in', { code: 'needsSession' });
  }
  return actor.personId;
}

function passkeyRefused(cause?: unknown): AuthorityError {
  return new AuthorityError('invalid', 'the passkey was not accepted; begin again', { code: 'passkeyRefused', cause });
}
