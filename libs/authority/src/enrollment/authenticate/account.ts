import { AuthorityError } from '#kernel';
import { permissionsOf } from '#policy';
import { findPersonBySubject } from '#store';
import type { AuthorityContext } from '../../context.js';
import { findActivePerson, type Person } from '../../people/session.js';
import { presentedApiKey } from './api-key.js';
import type { Way } from './principal.js';

/** Three parts of base64url: what else comes as Bearer is none. */
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/**
 * A token of the OpenID Connect issuer, of a person who may register devices: one that has signed in here, and whose roles by
 * the log allow it now. Opaque tokens would have to be asked about (RFC 7662), which is not done.
 */
export const byAccount: Way = {
  method: 'account',
  serves: ['simpleenroll'],
  byCertificate: false,
  asks: 'a token of your account as Bearer',

  async read(a, { presented, address }) {
    const { bearer } = presented;
    if (bearer === undefined || presentedApiKey(presented) !== undefined || !JWT.test(bearer)) return undefined;
    a.failedAttempts.check(address);
    const account = await a.accounts?.verify(bearer);
    if (account === undefined) {
      a.failedAttempts.record(address);
      throw wrongToken();
    }
    const person = await a.database.transaction(async (tx) => {
      const found = await findPersonBySubject(tx, account.issuer, account.subject);
      return found && findActivePerson(tx, a, found.id);
    });
    if (person === undefined) throw new AuthorityError('forbidden', 'nobody here has this account; sign in once');
    requireRight(a, person);
    return { method: 'account', person };
  },
};

/** By the log, asked again where it is decided. Throws `forbidden`. */
export function requireRight(a: AuthorityContext, { row, organization }: Person): void {
  a.follower.assertFresh(60_000);
  const known = a.follower.index.person(row.id);
  const roles = known?.status === 'active' ? known.roles : [];
  if (permissionsOf(organization.kind, roles).has('device:register')) return;
  throw new AuthorityError(
    'forbidden',
    'your account may not enroll devices: it needs the permission device:register',
    {
      code: 'accountRole',
    },
  );
}

const wrongToken = (): AuthorityError =>
  new AuthorityError('unauthenticated', 'the token is wrong, expired or not meant for this service');
