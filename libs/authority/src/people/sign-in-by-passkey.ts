import { generateAuthenticationOptions, verifyAuthenticationResponse } from '@simplewebauthn/server';
import type { AuthenticationResponseJSON, PublicKeyCredentialRequestOptionsJSON } from '@simplewebauthn/server';
import { passkeyRowMac } from '#status';
import { lockPasskey, notePasskeyUsed, type PasskeyRow, type Tx } from '#store';
import { scopeOf, systemActor, type AuthorityContext } from '../context.js';
import type { RelyingParty } from './register-passkey.js';
import { findActivePerson, openSession, refuseSignIn, type SignedIn } from './session.js';
import { beginAttempt, takeAttempt, type From } from './sign-in-attempt.js';

interface Challenge {
  challenge: string;
}

/** What the browser asks the passkey to sign; it names nobody, so that nothing is told about who there is. */
export async function beginPasskeySignIn(
  a: AuthorityContext,
  from: From,
  party: RelyingParty,
): Promise<{ attemptId: string; options: PublicKeyCredentialRequestOptionsJSON }> {
  const options = await generateAuthenticationOptions({ rpID: party.id, userVerification: 'required' });
  const content: Challenge = { challenge: options.challenge };
  return { attemptId: await beginAttempt(a, from, 'passkey', content), options };
}

/**
 * A signature by a passkey that is good, over the challenge of this attempt, from a page of ours, with its user verified
 * and a counter that rose (WebAuthn Level 3 section 7.2). Everything else answers the same.
 */
export async function signInByPasskey(
  a: AuthorityContext,
  from: From,
  party: RelyingParty,
  request: { attemptId: string; response: AuthenticationResponseJSON },
): Promise<SignedIn> {
  const { response } = request;
  a.failedAttempts.check(from.address, response.id);
  const begun = await takeAttempt<Challenge>(a, from, 'passkey', request.attemptId);
  const session =
    begun &&
    (await a.database.transaction(
      async (tx) => {
        const passkey = await believedPasskey(tx, a, response.id);
        const person = passkey && (await findActivePerson(tx, a, passkey.personId));
        if (passkey === undefined || person === undefined) return undefined;
        const handle = response.response.userHandle;
        if (handle !== undefined && Buffer.from(handle, 'base64url').toString() !== person.row.id) return undefined;
        const counter = await verify(a, passkey, party, begun.challenge, response);
        if (counter === undefined) return undefined;
        await notePasskeyUsed(tx, passkey.id, counter, a.clock.now());
        return openSession(tx, a, person, from.requestId, 'passkey');
      },
      scopeOf(a, systemActor(a, from.requestId)),
    ));
  if (session === undefined) throw await refuseSignIn(a, from, 'passkey', response.id);
  await a.follower.catchUp(session.seq);
  return session;
}

async function believedPasskey(tx: Tx, a: AuthorityContext, id: string): Promise<PasskeyRow | undefined> {
  const row = await lockPasskey(tx, id);
  if (row === undefined || a.follower.index.passkey(id)?.status !== 'active') return undefined;
  if (row.mac.equals(passkeyRowMac(a.macKey, row))) return row;
  a.log.error({ passkey: id }, 'ALARM: the row of a passkey was changed by somebody; not believed');
  return undefined;
}

/** The new counter; undefined where the signature is not believed. */
async function verify(
  a: AuthorityContext,
  passkey: PasskeyRow,
  party: RelyingParty,
  challenge: string,
  response: AuthenticationResponseJSON,
): Promise<number | undefined> {
  const { id, publicKey, counter } = passkey;
  try {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response,
      expectedChallenge: challenge,
      expectedOrigin: party.origin,
      expectedRPID: party.id,
      requireUserVerification: true,
      credential: { id, publicKey: Uint8Array.from(publicKey), counter },
    });
    return verified ? authenticationInfo.newCounter : undefined;
  } catch (error) {
    a.log.info({ err: error, passkey: id }, 'a passkey was not accepted');
    return undefined;
  }
}
