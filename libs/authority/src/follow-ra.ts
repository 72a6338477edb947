import { addSeconds } from '#kernel';
import type { StatusEntry } from '#status';
import {
  blockKeys,
  latestStatuses,
  lockObtained,
  lockUnexpiredOfDevices,
  markDone,
  readLogHead,
  type CertificateRow,
  type Tx,
} from '#store';
import { certificateAudit, obtainedFrom, revocation } from './certificates.js';
import { logStatus, type StatusAudit } from './change-status.js';
import { systemActor, type AuthorityContext } from './context.js';
import { serialOf } from './device-standing.js';

/** Certificates at a time: between two blocks everybody else gets at the log. */
const CERTIFICATES = 200;
/** A request that had begun may still be recorded: what is done earlier is looked through once more. */
const SETTLED_SECONDS = 15;

/** How far it came: certificates looked at, certificates revoked. */
export interface RaProgress {
  certificates: number;
  revoked: number;
}

/** Subject of the row of the log, and of the job. */
export const obtainedSubject = (raId: string, approvalId: string): string => `${raId}:${approvalId}`;

/**
 * Revokes what a registration authority obtained for others in the time that the log says, and every certificate that a device got with
 * one of these since. Block by block, each a transaction; started again after a crash it passes over what is done. What is to
 * be revoked says the log in memory alone.
 */
export async function followRa(a: AuthorityContext, subject: string): Promise<RaProgress> {
  await a.follower.catchUp((await a.database.transaction(readLogHead)).seq);
  a.follower.assertFresh(60_000);
  const progress = { certificates: 0, revoked: 0 };
  const entry = a.follower.index.ra(subject);
  if (!entry?.invalidityDate) return progress;
  const began = a.clock.now();
  let after: CertificateRow | undefined;
  do {
    const block = await a.database.transaction((tx) => followBlock(tx, a, subject, entry, after));
    await a.follower.catchUp(block.seq);
    progress.certificates += block.certificates;
    progress.revoked += block.revoked;
    after = block.last;
    a.log.info({ ra: subject, ...progress }, 'what a registration authority obtained is revoked');
  } while (after !== undefined);
  if (began >= addSeconds(entry.at, SETTLED_SECONDS)) {
    await a.database.transaction((tx) => markDone(tx, 'ra.wanted', subject, entry.seq));
  }
  return progress;
}

async function followBlock(
  tx: Tx,
  a: AuthorityContext,
  subject: string,
  entry: StatusEntry,
  after: CertificateRow | undefined,
): Promise<{ certificates: number; revoked: number; seq: number; last: CertificateRow | undefined }> {
  const [raId = ''] = subject.split(':');
  const { reason, at } = entry;
  const since = entry.invalidityDate ?? at;
  const rows = await lockObtained(tx, { raId, since, until: at }, after, CERTIFICATES);
  const devices = rows.flatMap(({ deviceId }) => deviceId ?? []);
  const family = await lockUnexpiredOfDevices(tx, devices, since);
  const all = [...rows, ...obtainedFrom(rows, family)];
  const now = a.clock.now();
  const latest = await latestStatuses(tx, 'certificate', all.map(serialOf));
  const open = all.filter((row) => row.notAfter > now && latest.get(serialOf(row))?.status !== 'revoked');
  if (reason === 'keyCompromise') {
    const keys = open.map(({ spkiSha256 }) => spkiSha256);
    await blockKeys(tx, keys, reason, systemActor(a, 'ra.follow').id);
  }
  const change = { status: 'revoked', reason, at, invalidityDate: null };
  const audits: StatusAudit[] = open.map((row) => certificateAudit(row, 'certificate.revoked', { reason, ra: raId }));
  const changes = open.map((row) => revocation(row, latest.get(serialOf(row)), change));
  const seq = changes.length === 0 ? 0 : await logStatus(tx, a, systemActor(a, 'ra.follow'), now, audits, changes);
  const last = rows.length < CERTIFICATES ? undefined : rows.at(-1);
  return { certificates: rows.length, revoked: changes.length, seq, last };
}
