import { AuthorityError } from '#kernel';
import { isRole, rolesOf } from '#policy';
import { findOrganization, findPerson, isId, type Tx } from '#store';
import { statusChange } from '../change-status.js';
import type { Actor, AuthorityContext } from '../context.js';
import { notFound } from '../registry.js';
import type { Operation } from './operation.js';

export type RoleGrant = Readonly<{ personId: string; roles: readonly string[] }>;

/** Gives a person roles, in the organization that the person belongs to. */
export const grantRoles: Operation<RoleGrant> = {
  name: 'role.grant',
  permission: 'person:manage',
  subject: ({ personId }) => `person:${personId}`,

  async check(tx, a, actor, { personId, roles }) {
    const { kind } = await requireActivePerson(tx, a, actor, personId);
    const possible = rolesOf(kind);
    const impossible = roles.find((role) => !isRole(role) || !possible.includes(role));
    if (impossible !== undefined) {
      throw new AuthorityError('invalid', `roles: an organization of kind ${kind} has ${possible.join(', ')}`, {
        member: 'roles',
      });
    }
    if (missing(a, { personId, roles }).length === 0) {
      throw new AuthorityError('conflict', 'the person has these roles already');
    }
  },

  async execute(tx, a, actor, parameters, { approvalId, at }) {
    const { personId } = parameters;
    const { organizationId } = await requireActivePerson(tx, a, actor, personId);
    const granted = missing(a, parameters);
    return {
      audits: granted.map((role) => ({
        action: 'role.granted' as const,
        subject: `person:${personId}`,
        ownerOrgId: organizationId,
        issuerOrgId: actor.organizationId,
        detail: { role, approvalId },
      })),
      changes: granted.map((role) =>
        statusChange({ kind: 'role', subject: `${personId}:${role}`, status: 'granted', reason: approvalId, at }),
      ),
      result: { personId, roles: granted },
    };
  },
};

function missing(a: AuthorityContext, { personId, roles }: RoleGrant): string[] {
  const held = a.follower.index.person(personId)?.roles ?? new Set();
  return [...new Set(roles.filter(isRole))].filter((role) => !held.has(role));
}

/** Active, and of the actor's organization where that is not the authority; with the kind of the organization. */
export async function requireActivePerson(tx: Tx, a: AuthorityContext, actor: Actor, id: string) {
  const person = isId(id) ? await findPerson(tx, id) : undefined;
  if (!person || (!actor.authority && person.organizationId !== actor.organizationId)) throw notFound('person');
  const organization = await findOrganization(tx, person.organizationId);
  if (!organization) throw notFound('person');
  if (a.follower.index.person(id)?.status !== 'active') {
    throw new AuthorityError('conflict', 'the person was removed', { code: 'personRemoved' });
  }
  return { organizationId: organization.id, kind: organization.kind };
}
