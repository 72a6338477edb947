import { AuthorityError, isAuthorityError } from '#kernel';
import { rolesOf, type Role } from '#policy';
import { findOrganization, findPersonBySubject, newId, type StatusChange, type Tx } from '#store';
import { logStatus, statusChange, type StatusAudit } from '../change-status.js';
import { scopeOf, systemActor, type AuthorityContext } from '../context.js';
import { auditRefusal } from '../refusal.js';
import { writePerson } from './create-person.js';
import { actorOfPerson, findActivePerson, openSession, refuseSignIn, type Person, type SignedIn } from './session.js';
import type { From } from './sign-in-attempt.js';

/** Whom an OpenID Connect issuer vouches for, and what the host's mapping gives for the claims. */
export interface Account {
  issuer: string;
  subject: string;
  name: string;
  email: string | null;
  /** undefined: no rule of the mapping fits. */
  mapped: { organizationId: string; roles: readonly Role[] } | undefined;
}

/**
 * Signs in whom the issuer named; at the first time the person is made. The roles in the log are brought in line with the
 * mapping each time. Whoever has no role by it is refused (`forbidden`, code `noRoleMapped`) and loses those he had.
 */
export async function signInByAccount(a: AuthorityContext, from: From, account: Account): Promise<SignedIn> {
  a.failedAttempts.check(from.address);
  const attempt = () =>
    a.database.transaction((tx) => enter(tx, a, from, account), scopeOf(a, systemActor(a, from.requestId)));
  // Two first sign-ins at once: one of them finds the person that the other has made.
  const outcome = await attempt().catch((error: unknown) => {
    if (!isAuthorityError(error, 'conflict')) throw error;
    return attempt();
  });
  if (outcome.seq > 0) await a.follower.catchUp(outcome.seq);
  if (outcome.session !== undefined) return outcome.session;
  if (outcome.refused === 'removed') throw await refuseSignIn(a, from, 'oidc');
  const error = new AuthorityError('forbidden', 'your account has no role here; ask an administrator', {
    code: 'noRoleMapped',
  });
  await auditRefusal(
    a,
    { ...systemActor(a, from.requestId), id: `anonymous:${from.address}` },
    {
      action: 'person.signedIn',
      subject: `account:${account.subject}`,
      error,
      detail: { means: 'oidc', issuer: account.issuer },
    },
  );
  throw error;
}

interface Outcome {
  session?: SignedIn;
  refused?: 'removed' | 'noRole';
  /** 0: nothing was written. */
  seq: number;
}

async function enter(tx: Tx, a: AuthorityContext, from: From, account: Account): Promise<Outcome> {
  const known = await findPersonBySubject(tx, account.issuer, account.subject);
  const person = known && (await findActivePerson(tx, a, known.id));
  if (known !== undefined && person === undefined) return { refused: 'removed', seq: 0 };
  const target = person?.organization.id ?? account.mapped?.organizationId;
  const fits = account.mapped !== undefined && account.mapped.organizationId === target;
  const wanted = fits ? (account.mapped?.roles ?? []) : [];
  if (person === undefined) {
    if (account.mapped === undefined || wanted.length === 0) return { refused: 'noRole', seq: 0 };
    return makeAndEnter(tx, a, from, account, account.mapped.organizationId, wanted);
  }
  const also = alignRoles(a, person, wanted);
  if (wanted.length > 0) {
    const session = await openSession(tx, a, person, from.requestId, 'oidc', also);
    return { session, seq: session.seq };
  }
  if (also.changes.length === 0) return { refused: 'noRole', seq: 0 };
  const actor = actorOfPerson(a, person, from.requestId);
  const seq = await logStatus(tx, a, actor, a.clock.now(), also.audits, also.changes);
  return { refused: 'noRole', seq };
}

async function makeAndEnter(
  tx: Tx,
  a: AuthorityContext,
  from: From,
  account: Account,
  organizationId: string,
  wanted: readonly Role[],
): Promise<Outcome> {
  const organization = await findOrganization(tx, organizationId);
  if (!organization)
    throw new AuthorityError('internal', 'secrets/oidc.json maps to an organization that is not there');
  const row = {
    ...{ id: newId(a.clock), organizationId, name: account.name, email: account.email },
    ...{ oidcIssuer: account.issuer, oidcSubject: account.subject },
  };
  const person: Person = { row: { ...row, mac: Buffer.alloc(0) }, organization };
  const made = await writePerson(tx, a, actorOfPerson(a, person, from.requestId), row);
  const roles = alignRoles(a, person, wanted);
  const session = await openSession(tx, a, person, from.requestId, 'oidc', {
    audits: [made.audit, ...roles.audits],
    changes: [made.change, ...roles.changes],
  });
  return { session, seq: session.seq };
}

/** What the log lacks, and what it has too much, against what the mapping gives. */
function alignRoles(
  a: AuthorityContext,
  { row, organization }: Person,
  wanted: readonly Role[],
): { audits: StatusAudit[]; changes: StatusChange[] } {
  const possible = rolesOf(organization.kind);
  const held = a.follower.index.person(row.id)?.roles ?? new Set<Role>();
  const at = a.clock.now();
  const differing = possible.filter((role) => wanted.includes(role) !== held.has(role));
  return {
    audits: differing.map((role) => ({
      action: wanted.includes(role) ? ('role.granted' as const) : ('role.withdrawn' as const),
      subject: `person:${row.id}`,
      ...{ ownerOrgId: row.organizationId, issuerOrgId: row.organizationId },
      detail: { role, means: 'oidc' },
    })),
    changes: differing.map((role) => {
      const status = wanted.includes(role) ? 'granted' : 'withdrawn';
      return statusChange({ kind: 'role', subject: `${row.id}:${role}`, status, reason: 'oidc', at });
    }),
  };
}
