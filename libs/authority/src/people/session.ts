import { addSeconds, AuthorityError } from '#kernel';
import { rolesOf } from '#policy';
import { personRowMac } from '#status';
import { findOrganization, findPeople, type Organization, type PersonRow, type Tx } from '#store';
import type { Actor, AuthorityContext } from '../context.js';
import { auditFailedAuthentication, writeToken, type WithToken } from '../operator-access.js';
import type { From } from './sign-in-attempt.js';

export interface SignedIn {
  personId: string;
  name: string;
  /** Text of the session's token: for the cookie. */
  token: string;
  expiresAt: Date;
}

export type SignInMeans = 'invitation' | 'passkey' | 'oidc';

/** One text for every reason: which part was wrong is of use to nobody but who guesses. */
export const REFUSED = 'the sign-in was not accepted; begin it again';

/** Counts and records a failed sign-in and answers what to throw. */
export async function refuseSignIn(
  a: AuthorityContext,
  from: From,
  means: SignInMeans,
  secretId?: string,
): Promise<AuthorityError> {
  a.failedAttempts.record(from.address, secretId);
  await auditFailedAuthentication(a, from, means);
  return new AuthorityError('unauthenticated', REFUSED);
}

export interface Person {
  row: PersonRow;
  organization: Organization;
}

/** Active by the log, the row as this authority wrote it; undefined otherwise. */
export async function findActivePerson(tx: Tx, a: AuthorityContext, id: string): Promise<Person | undefined> {
  const [row] = await findPeople(tx, [id]);
  if (row === undefined || a.follower.index.person(id)?.status !== 'active') return undefined;
  if (!row.mac.equals(personRowMac(a.macKey, row))) {
    a.log.error({ personId: id }, 'ALARM: the row of a person was changed by somebody; not believed');
    return undefined;
  }
  const organization = await findOrganization(tx, row.organizationId);
  return organization && { row, organization };
}

export function actorOfPerson(a: AuthorityContext, { row, organization }: Person, requestId: string): Actor {
  return {
    id: `person:${row.id}`,
    personId: row.id,
    organizationId: row.organizationId,
    authority: row.organizationId === a.authorityId,
    testing: organization.kind === 'testing',
    requestId,
  };
}

/**
 * A session is an operator token that lives for hours. Made for every role of the organization: what it may do is what
 * its person is granted at the moment. Last in the transaction.
 */
export async function openSession(
  tx: Tx,
  a: AuthorityContext,
  person: Person,
  requestId: string,
  means: SignInMeans,
  also: WithToken = {},
): Promise<SignedIn & { seq: number }> {
  const { row, organization } = person;
  const expiresAt = addSeconds(a.clock.now(), a.settings.access.session);
  const audit = {
    action: 'person.signedIn' as const,
    subject: `person:${row.id}`,
    ownerOrgId: row.organizationId,
    issuerOrgId: row.organizationId,
    detail: { means },
  };
  const { text, seq } = await writeToken(
    tx,
    a,
    actorOfPerson(a, person, requestId),
    {
      organizationId: row.organizationId,
      name: `sign-in by ${means}`,
      kind: 'session',
      personId: row.id,
      createdBy: null,
      roles: rolesOf(organization.kind),
      predecessorId: null,
      expiresAt,
    },
    { ...also, audits: [...(also.audits ?? []), audit] },
  );
  return { personId: row.id, name: row.name, token: text, expiresAt, seq };
}
