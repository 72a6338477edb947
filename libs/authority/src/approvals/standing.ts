import { permissionsOf, ROLES, rolesOf, type Permission, type Role } from '#policy';
import { findOrganization, readLogHead, type Tx } from '#store';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { isUsable } from '../tokens/usable.js';

type Who = Pick<Actor, 'id' | 'organizationId'> & { personId: string };

/** How old the index in memory may be where it decides who may do something. */
const MAX_AGE_MS = 60_000;

/** Brings the index up to the log as it stands: a role withdrawn a moment ago, by another process, counts. */
export async function catchUpWithLog(a: AuthorityContext, actor: Actor): Promise<void> {
  const { seq } = await a.database.transaction(readLogHead, scopeOf(a, actor));
  await a.follower.catchUp(seq);
}

/** Whether whoever proposed, or decides, may do so now: the person and the token are active, the role is still granted. */
export async function mayNow(tx: Tx, a: AuthorityContext, who: Who, permission: Permission): Promise<boolean> {
  a.follower.assertFresh(MAX_AGE_MS);
  const organization = await findOrganization(tx, who.organizationId);
  if (organization === undefined || !isActive(a, who.personId)) return false;
  const possible = rolesOf(organization.kind);
  return permissionsOf(organization.kind, rolesNow(a, who, possible)).has(permission);
}

/** The authority itself answers for what bootstrap tokens do. */
const isActive = (a: AuthorityContext, personId: string): boolean =>
  personId === a.authorityId || a.follower.index.person(personId)?.status === 'active';

function rolesNow(a: AuthorityContext, who: Who, possible: readonly Role[]): Iterable<Role> {
  const { index } = a.follower;
  if (who.id === `person:${who.personId}`) return index.person(who.personId)?.roles ?? [];
  const token = index.token(tokenIdOf(who));
  if (token?.organizationId !== who.organizationId || !isUsable(token, a.clock.now())) return [];
  return token.kind === 'bootstrap' ? possible : token.roles;
}

const tokenIdOf = ({ id }: Pick<Actor, 'id'>): string => /^operator:(.+)$/.exec(id)?.[1] ?? '';

/** A machine token answers through its maker, but never decides: approving is done by a person who looks at it. */
export function isPerson(a: AuthorityContext, actor: Actor): actor is Actor & { personId: string } {
  if (actor.personId === undefined) return false;
  if (actor.id === `person:${actor.personId}`) return true;
  return a.follower.index.token(tokenIdOf(actor))?.kind === 'bootstrap';
}

/** Somebody else, active, who could approve it: while there is one, nobody approves what he proposed himself. */
export function hasOtherApprover(
  a: AuthorityContext,
  proposal: { organizationId: string; proposerPerson: string },
): boolean {
  const organizations = new Set([a.authorityId, proposal.organizationId]);
  for (const one of a.follower.index.people()) {
    const other = one.id !== proposal.proposerPerson && organizations.has(one.organizationId);
    if (other && one.status === 'active' && one.roles.has('approver')) return true;
  }
  return false;
}

/** What the log calls everything that `mayNow` asks it about, of whoever proposed and whoever decides. */
export function standingSubjects(
  proposal: { proposer: string; proposerPerson: string },
  decider: Pick<Actor, 'id'> & { personId: string },
): string[] {
  const people = [proposal.proposerPerson, decider.personId];
  const tokens = [tokenIdOf({ id: proposal.proposer }), tokenIdOf(decider)].filter((id) => id !== '');
  return [...people, ...people.flatMap((id) => ROLES.map((role) => `${id}:${role}`)), ...tokens];
}
