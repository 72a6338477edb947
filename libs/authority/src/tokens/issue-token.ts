import { AuthorityError } from '#kernel';
import { decideKeyExpiry, permissionsOf, rolesOf, type Permission, type Role } from '#policy';
import { findListedToken, findOrganization, isId, type ListedToken, type Tx } from '#store';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { writeToken, type Caller } from '../operator-access.js';
import { requireRoomFor } from '../holdings.js';
import { auditingRefusal } from '../refusal.js';

export interface TokenRequest {
  name: string;
  /** `machine`: of a program; `personal`: for the calling person herself. */
  kind: 'machine' | 'personal';
  roles: readonly Role[];
  /** Default: the longest allowed. */
  expiresAt?: Date | undefined;
  /** Of a machine token; default the caller's own. Only the authority names another. */
  organizationId?: string | undefined;
}

export interface IssuedToken {
  row: ListedToken;
  /** Shown once, stored nowhere. */
  token: string;
}

export type TokenMaker = Pick<Caller, 'kind' | 'roles' | 'permissions'>;

/**
 * A token of the caller or of a program, which can never do more than its maker can now. Throws `forbidden` for a machine
 * token as maker, for a role that the caller does not have, and for a machine that would approve.
 */
export async function issueToken(
  a: AuthorityContext,
  actor: Actor,
  caller: TokenMaker,
  request: TokenRequest,
): Promise<IssuedToken> {
  const work = async (tx: Tx) => {
    requireHuman(caller);
    const organizationId = await requireOrganization(tx, actor, request);
    const person = request.kind === 'personal' ? requirePerson(actor) : undefined;
    if (request.kind === 'machine') requirePermission(caller, 'token:manage');
    await requireOwnRoles(tx, actor, caller, { ...request, organizationId });
    await requireRoomFor(tx, organizationId, 'tokens');
    const made = await writeToken(tx, a, actor, {
      organizationId,
      name: request.name,
      kind: request.kind,
      personId: person ?? null,
      createdBy: person === undefined ? requireAnswerable(actor) : null,
      roles: [...new Set(request.roles)],
      predecessorId: null,
      expiresAt: decideKeyExpiry(a.clock.now(), request.expiresAt, a.settings.access.tokenMax),
    });
    return { ...made, row: await readBack(tx, made.id) };
  };
  const made = await auditingRefusal(a, actor, 'token.issued', 'token:new', () =>
    a.database.transaction(work, scopeOf(a, actor)),
  );
  await a.follower.catchUp(made.seq);
  return { row: made.row, token: made.text };
}

/** A token that makes tokens would live for ever, and nobody would answer for what it made. */
export function requireHuman(caller: TokenMaker): void {
  if (caller.kind === 'machine') {
    throw new AuthorityError('forbidden', 'tokens are made by people; a machine token makes none', {
      code: 'machineMakesToken',
    });
  }
}

export function requirePermission(caller: TokenMaker, permission: Permission): void {
  if (!caller.permissions.has(permission)) {
    throw new AuthorityError('forbidden', `this needs the permission ${permission}`);
  }
}

/** Who answers for a machine token: what it proposes, this person may not approve. */
export function requireAnswerable(actor: Actor): string {
  if (actor.personId === undefined) throw new AuthorityError('forbidden', 'nobody would answer for this token');
  return actor.personId;
}

function requirePerson(actor: Actor): string {
  if (actor.personId === undefined || actor.id !== `person:${actor.personId}`) {
    throw new AuthorityError(
      'invalid',
      'kind: a personal token belongs to the person who signed in; make it "machine"',
      {
        member: 'kind',
      },
    );
  }
  return actor.personId;
}

async function requireOrganization(tx: Tx, actor: Actor, request: TokenRequest): Promise<string> {
  const { organizationId, kind } = request;
  if (organizationId === undefined || organizationId === actor.organizationId) return actor.organizationId;
  const mayName = actor.authority && kind === 'machine' && isId(organizationId);
  const found = mayName ? await findOrganization(tx, organizationId) : undefined;
  if (!found) {
    throw new AuthorityError('invalid', 'organizationId: no such organization', { member: 'organizationId' });
  }
  return found.id;
}

/** In its own organization the roles of the caller, in another one (the authority's right) what he may do himself. */
export async function requireOwnRoles(
  tx: Tx,
  actor: Actor,
  caller: TokenMaker,
  token: { kind: string; organizationId: string; roles: readonly string[] },
): Promise<void> {
  const organization = await findOrganization(tx, token.organizationId);
  if (!organization) throw new AuthorityError('internal', 'a token of no organization');
  const possible = rolesOf(organization.kind);
  for (const name of token.roles) {
    const role = possible.find((one) => one === name);
    if (role === undefined) {
      throw new AuthorityError(
        'invalid',
        `roles: an organization of kind ${organization.kind} has ${possible.join(', ')}`,
        {
          member: 'roles',
        },
      );
    }
    if (role === 'approver' && token.kind === 'machine') {
      throw new AuthorityError('forbidden', 'roles: approving is done by people; a machine token is no approver', {
        code: 'machineApprover',
        member: 'roles',
      });
    }
    const own = organization.id === actor.organizationId;
    const held = own ? caller.roles.includes(role) : holdsAll(caller, permissionsOf(organization.kind, [role]));
    if (!held) {
      throw new AuthorityError('forbidden', `roles: you cannot give away ${role}, which is more than you have`, {
        code: 'rolesBeyondOwn',
        member: 'roles',
      });
    }
  }
}

const holdsAll = (caller: TokenMaker, wanted: ReadonlySet<Permission>): boolean =>
  [...wanted].every((one) => caller.permissions.has(one));

export async function readBack(tx: Tx, id: string): Promise<ListedToken> {
  const row = await findListedToken(tx, id);
  if (!row) throw new AuthorityError('internal', 'a token just written is not there');
  return row;
}
