import { addSeconds } from '#kernel';
import type { Supersede } from '#policy';
import { intentRowMac } from '#status';
import {
  findCertificate,
  insertSupersession,
  latestStatus,
  lockDevice,
  lockSerials,
  storeSigned,
  takeDueSupersessions,
  type CertificateRow,
  type NewAuditRow,
  type SignedRow,
  type StatusChange,
  type Tx,
} from '#store';
import { certificateAudit, revocation } from './certificates.js';
import { logStatus, type StatusAudit } from './change-status.js';
import { systemActor, type Actor, type AuthorityContext } from './context.js';
import { currentProfile, type PolicyView } from './current-profile.js';

const BLOCK = 200;

type Log = Pick<AuthorityContext, 'clock' | 'macKey'>;

/** What is to become of the certificate that one of this profile takes the place of. */
export function supersedeBy(a: Partial<PolicyView>, profile: string, supersedes: Buffer | null): Supersede {
  if (supersedes === null || a.lifetimes === undefined) return { mode: 'never' };
  const { lifetimes, follower } = a;
  return currentProfile({ lifetimes, ...(follower && { follower }) }, profile).supersede;
}

/**
 * Stores a renewal and, in the same transaction, revokes its predecessor or says when that is to be done. Answers the row of
 * the log that revoked it, 0 for none; undefined: the intent is not open any more.
 */
export async function storeSuperseding(
  tx: Tx,
  a: Log,
  actor: Actor,
  renewal: { row: SignedRow & { supersedes: Buffer }; audit: NewAuditRow; how: Supersede },
): Promise<number | undefined> {
  const { row, audit, how } = renewal;
  if (row.deviceId !== null) await lockDevice(tx, row.deviceId);
  await lockSerials(tx, [row.serial, row.supersedes]);
  if (!(await storeSigned(tx, row, audit))) return undefined;
  if (how.mode === 'after') {
    const dueAt = addSeconds(a.clock.now(), how.seconds);
    await insertSupersession(tx, { serial: row.supersedes, successor: row.serial, dueAt });
  }
  if (how.mode !== 'at-once') return 0;
  const change = await superseding(tx, a, row.supersedes, row.serial);
  return change === undefined ? 0 : logStatus(tx, a, actor, change.at, [change.audit], [change.change]);
}

/** undefined: there is nothing to revoke any more. */
async function superseding(
  tx: Tx,
  a: Log,
  serial: Buffer,
  successor: Buffer,
): Promise<{ at: Date; audit: StatusAudit; change: StatusChange } | undefined> {
  const row = await findCertificate(tx, serial);
  const at = a.clock.now();
  if (!row || row.notAfter <= at) return undefined;
  const latest = await latestStatus(tx, 'certificate', serial.toString('hex'));
  if (latest?.status === 'revoked') return undefined;
  const reason = 'superseded';
  return {
    at,
    audit: certificateAudit(row, 'certificate.revoked', { reason, successor: successor.toString('hex') }),
    change: revocation(row, latest, { status: 'revoked', reason, at, invalidityDate: null }),
  };
}

/** Revokes what was renewed so long ago that its profile ends it. Returns how many; run twice it finds nothing. */
export async function revokeSuperseded(a: AuthorityContext): Promise<number> {
  const actor = systemActor(a, 'supersede');
  let total = 0;
  for (;;) {
    const block = await a.database.transaction(async (tx) => {
      const due = await takeDueSupersessions(tx, a.clock.now(), BLOCK);
      await lockSerials(
        tx,
        due.map(({ serial }) => serial),
      );
      const audits: StatusAudit[] = [];
      const changes: StatusChange[] = [];
      for (const { serial, successor } of due) {
        if (!(await follows(tx, a, serial, successor))) continue;
        const change = await superseding(tx, a, serial, successor);
        if (!change) continue;
        audits.push(change.audit);
        changes.push(change.change);
      }
      const seq = changes.length === 0 ? 0 : await logStatus(tx, a, actor, a.clock.now(), audits, changes);
      return { due: due.length, revoked: changes.length, seq };
    });
    await a.follower.catchUp(block.seq);
    total += block.revoked;
    if (block.due < BLOCK) return total;
  }
}

/** Both are ours, of one device and one profile, and the second is the younger: no row made up elsewhere revokes anything. */
async function follows(tx: Tx, a: AuthorityContext, serial: Buffer, successor: Buffer): Promise<boolean> {
  const [old, next] = [await findCertificate(tx, serial), await findCertificate(tx, successor)];
  const ours = (row: CertificateRow): boolean => row.mac.equals(intentRowMac(a.macKey, row));
  return (
    old !== undefined &&
    next !== undefined &&
    next.der !== null &&
    ours(old) &&
    ours(next) &&
    old.deviceId !== null &&
    old.deviceId === next.deviceId &&
    old.profile === next.profile &&
    old.notBefore <= next.notBefore
  );
}
