import type { AuditAction } from '#audit';
import { AuthorityError, isAuthorityError } from '#kernel';
import { readTypedName, type NameType } from '#policy';
import { checkRowMac, nameUserRowMac } from '#status';
import { findNameUser, insertNameUser, isId, latestStatus, lockDomain, newId, type NameUserRow } from '#store';
import { logStatus, receipt, statusChange, type Receipt, type StatusAudit } from '../change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { requireRoomFor } from '../holdings.js';
import { auditingRefusal } from '../refusal.js';
import { notFound } from '../registry.js';
import { checkNameReason } from './disable-domain.js';
import { holderOf, notEntitled } from './domain-standing.js';
import { ofMember } from './of-member.js';
import { BY_AUTHORITY, requireRevoked } from './prove-domain.js';

/** What names an address can be. */
export const USER_TYPES = ['sip-user', 'im', 'pres', 'xmpp', 'email'] as const satisfies readonly NameType[];
export type UserType = (typeof USER_TYPES)[number];

/** As shown, by the log. */
export const userStatus = (a: Pick<AuthorityContext, 'follower'>, id: string): 'active' | 'disabled' =>
  a.follower.index.user(id)?.status === 'active' ? 'active' : 'disabled';

/**
 * A user with an address in a domain that the caller's organization holds (any organization's, where the caller is the
 * authority). Throws `invalid` for an address that cannot be such a name, `forbidden` (`nameNotEntitled`) outside its domains.
 */
export async function createUser(
  a: AuthorityContext,
  actor: Actor,
  request: { address: string; types?: readonly UserType[] | undefined },
): Promise<NameUserRow> {
  const { address, types } = ofMember('address', () => canonicalUser(request));
  return auditingRefusal(a, actor, 'user.created', 'user:new', async () => {
    const domain = await holderOf(a, address.slice(address.lastIndexOf('@') + 1));
    if (!domain || (!actor.authority && domain.organizationId !== actor.organizationId)) throw notEntitled(address);
    const { organizationId } = domain;
    const made = await a.database.transaction(
      async (tx) => {
        await requireRoomFor(tx, organizationId, 'users');
        const facts = { id: newId(a.clock), address, types, domainId: domain.id, organizationId };
        const row = await insertNameUser(tx, { ...facts, mac: nameUserRowMac(a.macKey, facts) });
        if (!row) throw new AuthorityError('conflict', 'there is a user with this address', { member: 'address' });
        const at = a.clock.now();
        const change = statusChange({ kind: 'user', subject: row.id, status: 'active', at });
        const audit = userAudit(row, actor, 'user.created', { address, types: types.join(' ') });
        return { row, seq: await logStatus(tx, a, actor, at, [audit], [change]) };
      },
      scopeOf(a, actor),
    );
    await a.follower.catchUp(made.seq);
    return made.row;
  });
}

/** Nobody enrolls or renews with this address from the answer on; the worker revokes every certificate that has it (S25). */
export function disableUser(a: AuthorityContext, actor: Actor, id: string, reason: string): Promise<Receipt> {
  checkNameReason(actor, reason);
  return changeUser(a, actor, id, { action: 'user.disabled', status: 'disabled', reason });
}

/** For what is issued from now on: what was revoked stays so. */
export function enableUser(a: AuthorityContext, actor: Actor, id: string): Promise<Receipt> {
  return changeUser(a, actor, id, { action: 'user.enabled', status: 'active', reason: null });
}

async function changeUser(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  { action, status, reason }: { action: AuditAction; status: 'active' | 'disabled'; reason: string | null },
): Promise<Receipt> {
  const result = await a.database.transaction(
    async (tx) => {
      const row = isId(id) ? await findNameUser(tx, id) : undefined;
      if (!row) throw notFound('user');
      // Changes of one user follow each other, and those of the domain.
      await lockDomain(tx, row.domainId);
      checkUser(a, row);
      const latest = await latestStatus(tx, 'user', id);
      if (latest?.status === status) return { seq: latest.seq, at: latest.at };
      const at = a.clock.now();
      if (status === 'active') {
        if (latest?.reason === BY_AUTHORITY && !actor.authority) {
          throw new AuthorityError('forbidden', 'the authority has disabled it, and alone enables it again');
        }
        await requireRevoked(tx, id, at);
      }
      const change = statusChange({ kind: 'user', subject: id, status, reason, at });
      const audit = userAudit(row, actor, action, { reason });
      return { at, seq: await logStatus(tx, a, actor, at, [audit], [change]) };
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(result.seq);
  return receipt('user', id, status, result.seq, result.at);
}

/** Throws `internal` (code `rowMac`). */
export function checkUser(a: Pick<AuthorityContext, 'macKey'>, row: NameUserRow): void {
  checkRowMac(row.mac, nameUserRowMac(a.macKey, row), `user ${row.id}`);
}

/** The types that were asked for, or all whose alphabet the address fits. */
function canonicalUser(request: { address: string; types?: readonly UserType[] | undefined }) {
  const { address } = request;
  const types =
    request.types === undefined ? USER_TYPES.filter((type) => fits(type, address)) : [...new Set(request.types)];
  const [first = 'sip-user'] = types;
  const values = new Set((types.length === 0 ? [first] : types).map((type) => readTypedName(type, address).value));
  const [canonical = ''] = values;
  if (values.size === 1) return { address: canonical, types };
  throw new AuthorityError('invalid', 'not the same address in all of these types', { code: 'nameForm' });
}

function fits(type: UserType, address: string): boolean {
  try {
    readTypedName(type, address);
    return true;
  } catch (error) {
    if (isAuthorityError(error, 'invalid')) return false;
    throw error;
  }
}

const userAudit = (
  row: NameUserRow,
  actor: Actor,
  action: AuditAction,
  detail: Readonly<Record<string, string | null>>,
): StatusAudit => ({
  action,
  subject: `user:${row.id}`,
  ownerOrgId: row.organizationId,
  issuerOrgId: actor.organizationId,
  detail,
});
