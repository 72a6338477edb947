import type { StatusEntry } from '#status';
import {
  blockKeys,
  latestStatus,
  latestStatuses,
  lockGroupMembers,
  lockUnexpiredOfDevices,
  markDevicesRevoked,
  markDone,
  readLogHead,
  statusHistory,
  type CertificateRow,
  type Device,
  type StatusChange,
  type StatusRow,
  type Tx,
} from '#store';
import { certificateAudit, release, revocation } from './certificates.js';
import { logStatus, statusChange, type StatusAudit } from './change-status.js';
import { systemActor, type AuthorityContext } from './context.js';
import { CERTIFICATE_ACTION, groupHold, serialOf } from './device-standing.js';
import { rejectPendingOfGroup } from './enrollment/close-pending.js';

/** Members at a time: between two blocks everybody else gets at the log. */
const MEMBERS = 500;

/** How far it came: devices looked at, rows of the log written. */
export interface GroupProgress {
  members: number;
  changes: number;
}

interface Block {
  members: Device[];
  /** What the log says last of them and of their certificates. */
  devices: ReadonlyMap<string, StatusRow>;
  certificates: CertificateRow[];
  latest: ReadonlyMap<string, StatusRow>;
}

interface Written {
  audits: StatusAudit[];
  changes: StatusChange[];
}

/**
 * Brings the members of a group to where the log says that the group is: revoked, on hold, or the holds of its suspensions
 * lifted. Block by block, each a transaction; started again after a crash it passes over what is done. What the group is
 * says the log in memory alone, whose chain was checked.
 */
export async function followGroup(a: AuthorityContext, groupId: string): Promise<GroupProgress> {
  await a.follower.catchUp((await a.database.transaction(readLogHead)).seq);
  a.follower.assertFresh(60_000);
  const progress = { members: 0, changes: 0 };
  const group = a.follower.index.group(groupId);
  if (group === undefined) return progress;
  let after: string | undefined;
  do {
    const block = await a.database.transaction((tx) => followBlock(tx, a, groupId, group, after));
    // Changed meanwhile: the newer row of the log is followed by a job of its own.
    if (block === undefined) return progress;
    progress.members += block.members;
    progress.changes += block.changes;
    after = block.last;
    a.log.info({ group: groupId, status: group.status, ...progress }, 'a group is followed by its members');
  } while (after !== undefined);
  await a.database.transaction((tx) => markDone(tx, 'group.wanted', groupId, group.seq));
  return progress;
}

async function followBlock(
  tx: Tx,
  a: AuthorityContext,
  groupId: string,
  group: StatusEntry,
  after: string | undefined,
): Promise<{ members: number; changes: number; last: string | undefined } | undefined> {
  const members = await lockGroupMembers(tx, groupId, after, MEMBERS);
  if ((await latestStatus(tx, 'group', groupId))?.seq !== group.seq) return undefined;
  const at = a.clock.now();
  const ids = members.map(({ id }) => id);
  const certificates = await lockUnexpiredOfDevices(tx, ids, at);
  const block: Block = {
    members,
    certificates,
    devices: await latestStatuses(tx, 'device', ids),
    latest: await latestStatuses(tx, 'certificate', certificates.map(serialOf)),
  };
  const actor = systemActor(a, 'group.follow');
  const { audits, changes } = await decide(tx, groupId, group, block, at);
  const { status } = group;
  if (status === 'suspended' || status === 'revoked') {
    audits.push(...(await rejectPendingOfGroup(tx, a, ids, { status, decider: actor.id, at })));
  }
  if (audits.length > 0) await logStatus(tx, a, actor, at, audits, changes);
  const last = members.length < MEMBERS ? undefined : ids.at(-1);
  return { members: members.length, changes: changes.length, last };
}

async function decide(tx: Tx, groupId: string, group: StatusEntry, block: Block, at: Date): Promise<Written> {
  switch (group.status) {
    case 'revoked':
      return revokeMembers(tx, groupId, group, block);
    case 'suspended':
      return eachCertificate(groupId, block, (row, latest) =>
        latest?.status === 'revoked' || latest?.status === 'onHold' ? undefined : groupHold(row, latest, group.at),
      );
    default:
      return liftHolds(groupId, block, at, await statusHistory(tx, 'group', groupId));
  }
}

async function revokeMembers(tx: Tx, groupId: string, group: StatusEntry, block: Block): Promise<Written> {
  const { reason, at } = group;
  const open = block.members.filter(({ id }) => block.devices.get(id)?.status !== 'revoked');
  await markDevicesRevoked(
    tx,
    open.map(({ id }) => id),
  );
  if (reason === 'keyCompromise') {
    await blockKeys(
      tx,
      block.certificates.map((row) => row.spkiSha256),
      reason,
    );
  }
  const certificates = eachCertificate(groupId, block, (row, latest) =>
    latest?.status === 'revoked'
      ? undefined
      : revocation(row, latest, { status: 'revoked', reason, at, invalidityDate: null }),
  );
  return {
    audits: [...open.map((device) => memberAudit(device, groupId, reason)), ...certificates.audits],
    changes: [
      ...certificates.changes,
      ...open.map(({ id }) => statusChange({ kind: 'device', subject: id, status: 'revoked', reason, at })),
    ],
  };
}

/** Holds of the group's suspensions go, or become those of the device where that is suspended itself. */
function liftHolds(groupId: string, block: Block, at: Date, history: readonly StatusRow[]): Written {
  const suspensions = new Set(history.filter((row) => row.status === 'suspended').map((row) => row.at.getTime()));
  return eachCertificate(groupId, block, (row, latest) => {
    if (latest?.status !== 'onHold' || !suspensions.has(latest.at.getTime())) return undefined;
    const device = row.deviceId === null ? undefined : block.devices.get(row.deviceId);
    return device?.status === 'suspended' ? groupHold(row, latest, device.at) : release(row, at);
  });
}

function eachCertificate(
  groupId: string,
  { certificates, latest }: Block,
  change: (row: CertificateRow, latest: StatusRow | undefined) => StatusChange | undefined,
): Written {
  const written: Written = { audits: [], changes: [] };
  for (const row of certificates) {
    const one = change(row, latest.get(serialOf(row)));
    if (one === undefined) continue;
    const action = CERTIFICATE_ACTION[one.status] ?? 'certificate.revoked';
    written.changes.push(one);
    written.audits.push(certificateAudit(row, action, { reason: one.reason, groupId }));
  }
  return written;
}

const memberAudit = (device: Device, groupId: string, reason: string | null): StatusAudit => ({
  action: 'device.revoked',
  subject: `device:${device.id}`,
  ownerOrgId: device.ownerOrgId,
  issuerOrgId: device.issuerOrgId,
  detail: { reason, groupId },
});
