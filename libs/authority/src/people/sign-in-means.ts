import { findPerson, passkeysOfPerson, type Tx } from '#store';
import type { AuthorityContext } from '../context.js';

/** Whether this person has a way in: a passkey that is good, or an account at the OpenID Connect issuer. */
export async function canSignIn(tx: Tx, a: Pick<AuthorityContext, 'follower'>, personId: string): Promise<boolean> {
  const person = await findPerson(tx, personId);
  if (person === undefined) return false;
  return person.oidcIssuer !== null || (await hasPasskey(tx, a, personId));
}

export async function hasPasskey(tx: Tx, a: Pick<AuthorityContext, 'follower'>, personId: string): Promise<boolean> {
  const passkeys = await passkeysOfPerson(tx, personId);
  return passkeys.some((one) => a.follower.index.passkey(one.id)?.status === 'active');
}
