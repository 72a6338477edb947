import type { AuditAction } from '#audit';
import { AuthorityError } from '#kernel';
import { isId, latestStatus, lockDeviceGroup, setGroupStatus, type DeviceGroup, type Tx } from '#store';
import { logStatus, receipt, statusChange, type Receipt } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { notFound } from './registry.js';

type GroupStatus = DeviceGroup['status'];

/** Nobody of the group enrolls or renews from now on; the worker puts the certificates of its devices on hold. */
export const suspendGroup = (a: AuthorityContext, actor: Actor, id: string): Promise<Receipt> =>
  changeGroup(a, actor, id, { action: 'group.suspended', from: 'active', to: 'suspended' });

/** Lifts the suspension; the worker lifts the holds that it made, and no others. */
export const resumeGroup = (a: AuthorityContext, actor: Actor, id: string): Promise<Receipt> =>
  changeGroup(a, actor, id, { action: 'group.resumed', from: 'suspended', to: 'active' });

/** As shown: by the log, whatever the row says. */
export function groupStatus(a: Pick<AuthorityContext, 'follower'>, id: string): GroupStatus {
  const status = a.follower.index.group(id)?.status;
  return status === 'suspended' || status === 'revoked' ? status : 'active';
}

/** Locked until the transaction ends. */
export async function requireGroup(tx: Tx, id: string): Promise<DeviceGroup> {
  const group = isId(id) ? await lockDeviceGroup(tx, id, 'change') : undefined;
  if (!group) throw notFound('device group');
  return group;
}

/** Neither the log in the database nor the one in memory may say otherwise; call it with the group locked. */
export async function groupStanding(
  tx: Tx,
  a: AuthorityContext,
  id: string,
): Promise<{ status: GroupStatus; seq: number; at: Date } | undefined> {
  const latest = await latestStatus(tx, 'group', id);
  if (!latest) return undefined;
  const revoked = latest.status === 'revoked' || groupStatus(a, id) === 'revoked';
  const status = revoked ? 'revoked' : latest.status === 'suspended' ? 'suspended' : 'active';
  return { status, seq: latest.seq, at: latest.at };
}

async function changeGroup(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  change: { action: AuditAction; from: GroupStatus; to: GroupStatus },
): Promise<Receipt> {
  const { action, from, to } = change;
  const result = await a.database.transaction(
    async (tx) => {
      const group = await requireGroup(tx, id);
      const standing = await groupStanding(tx, a, id);
      if (standing?.status === to) return standing;
      const current = standing?.status ?? 'active';
      if (current !== from) {
        throw new AuthorityError('conflict', `the group is ${current}; this needs it to be ${from}`);
      }
      const at = a.clock.now();
      await setGroupStatus(tx, id, [group.status], to);
      const audit = {
        action,
        subject: `group:${id}`,
        ownerOrgId: group.ownerOrgId,
        issuerOrgId: group.issuerOrgId,
      };
      const row = statusChange({ kind: 'group', subject: id, status: to, at });
      return { seq: await logStatus(tx, a, actor, at, [audit], [row]), at };
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(result.seq);
  return receipt('group', id, to, result.seq, result.at);
}
