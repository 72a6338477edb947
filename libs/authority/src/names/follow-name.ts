import type { StatusEntry } from '#status';
import {
  latestStatus,
  latestStatuses,
  lockDevicesOfHolder,
  lockUnexpiredOfDevices,
  markDone,
  readLogHead,
  type StatusChange,
  type Tx,
} from '#store';
import { certificateAudit, revocation } from '../certificates.js';
import { logStatus, type StatusAudit } from '../change-status.js';
import { systemActor, type AuthorityContext } from '../context.js';
import { serialOf } from '../device-standing.js';

/** Devices at a time: between two blocks everybody else gets at the log. */
const DEVICES = 500;

/** How far it came: devices looked at, certificates revoked. */
export interface NameProgress {
  devices: number;
  revoked: number;
}

/**
 * Revokes every certificate with a name that rests on a disabled domain or user (S25). Block by block, each a transaction;
 * started again after a crash it passes over what is done. What is disabled says the log in memory alone.
 */
export async function followName(a: AuthorityContext, holderId: string): Promise<NameProgress> {
  await a.follower.catchUp((await a.database.transaction(readLogHead)).seq);
  a.follower.assertFresh(60_000);
  const progress = { devices: 0, revoked: 0 };
  const { index } = a.follower;
  const kind = index.domain(holderId) === undefined ? 'user' : 'domain';
  const entry = index[kind](holderId);
  if (entry === undefined) return progress;
  let after: string | undefined;
  while (entry.status === 'disabled') {
    const block = await a.database.transaction((tx) => followBlock(tx, a, { holderId, kind, entry, after }));
    // Enabled meanwhile: that waits until nothing is left to revoke.
    if (block === undefined) return progress;
    await a.follower.catchUp(block.seq);
    progress.devices += block.devices;
    progress.revoked += block.revoked;
    a.log.info({ holder: holderId, ...progress }, 'a disabled name is followed by its certificates');
    if (block.last === undefined) break;
    after = block.last;
  }
  await a.database.transaction((tx) => markDone(tx, 'name.wanted', holderId, entry.seq));
  return progress;
}

async function followBlock(
  tx: Tx,
  a: AuthorityContext,
  {
    holderId,
    kind,
    entry,
    after,
  }: { holderId: string; kind: 'domain' | 'user'; entry: StatusEntry; after: string | undefined },
): Promise<{ devices: number; revoked: number; seq: number; last: string | undefined } | undefined> {
  const devices = await lockDevicesOfHolder(tx, holderId, after, DEVICES);
  if ((await latestStatus(tx, kind, holderId))?.seq !== entry.seq) return undefined;
  const at = a.clock.now();
  const ids = devices.map(({ id }) => id);
  const certificates = await lockUnexpiredOfDevices(tx, ids, at);
  const latest = await latestStatuses(tx, 'certificate', certificates.map(serialOf));
  const audits: StatusAudit[] = [];
  const changes: StatusChange[] = [];
  const { reason } = entry;
  for (const row of certificates) {
    const before = latest.get(serialOf(row));
    if (before?.status === 'revoked') continue;
    changes.push(revocation(row, before, { status: 'revoked', reason, at: entry.at, invalidityDate: null }));
    audits.push(certificateAudit(row, 'certificate.revoked', { reason, [`${kind}Id`]: holderId }));
  }
  const seq = changes.length === 0 ? 0 : await logStatus(tx, a, systemActor(a, 'name.follow'), at, audits, changes);
  return {
    devices: devices.length,
    revoked: changes.length,
    seq,
    last: devices.length < DEVICES ? undefined : ids.at(-1),
  };
}
