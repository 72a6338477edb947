import { AuthorityError } from '#kernel';
import { checkInvalidityDate, decideRevocation, type RevocationReason } from '#policy';
import {
  blockKey,
  findDevice,
  latestStatus,
  latestStatuses,
  lockCertificate,
  lockUnexpiredOfDevices,
  type CertificateRow,
  type StatusChange,
  type StatusRow,
  type Tx,
} from '#store';
import { logStatus, receipt, statusChange, type Receipt, type StatusAudit } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { notFound } from './registry.js';
import { obtainedWith } from './revoke-obtained.js';

/** Of a certificate for the key of another CA, or for another key of ours. */
export const LINK_PROFILE = 'sub-ca';
export const CA_PROFILES: readonly string[] = ['root-ca', 'intermediate-ca', 'issuing-ca', LINK_PROFILE];

/** Serial as callers write it: hex of the DER content, leading zeros optional. Anything else is nobody's serial. */
export function parseSerial(text: string): Buffer | undefined {
  if (!/^[0-9a-fA-F]{1,40}$/.test(text)) return undefined;
  const even = text.length % 2 === 0 ? text : `0${text}`;
  const bytes = Buffer.from(even, 'hex');
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const significant = bytes.subarray(start);
  // A first octet from 80 up would be a negative INTEGER: its DER content begins with 00.
  return significant[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), significant]) : Buffer.from(significant);
}

/**
 * Revokes, or holds with reason `certificateHold`. The same reason again answers the receipt of the first time; another
 * one is `conflict`, except that any final reason may be tightened to keyCompromise, which also blocks the key (C15) and
 * ends what was renewed with it: whoever had the key could renew. The receipt for that of a registration authority says what else
 * it could have been used for. Throws `conflict` (code `needsApproval`) for a CA.
 */
export async function revokeCertificate(
  a: AuthorityContext,
  actor: Actor,
  serialText: string,
  request: { reason: RevocationReason; invalidityDate?: Date | undefined },
): Promise<Receipt> {
  const result = await a.database.transaction(
    async (tx) => {
      const row = await requireCertificate(tx, serialText);
      if (CA_PROFILES.includes(row.profile)) {
        throw new AuthorityError('conflict', 'a CA is revoked by two people, as an issuer, and never put on hold', {
          code: 'needsApproval',
        });
      }
      const latest = await latestStatus(tx, 'certificate', row.serial.toString('hex'));
      const at = a.clock.now();
      const hold = request.reason === 'certificateHold';
      const status = hold ? 'onHold' : 'revoked';
      const same = decideRevocation(latest, request.reason) === 'same';
      // A hold of its own outlives the suspension of the device, so it is a row of its own.
      if (same && latest && !(hold && (await heldBySuspension(tx, row, latest)))) {
        return { row, status, seq: latest.seq, at: latest.at };
      }
      checkInvalidityDate(request.invalidityDate, row.notBefore, at);
      if (request.reason === 'keyCompromise') await blockKey(tx, row.spkiSha256, 'keyCompromise', { actor: actor.id });
      const change = revocation(row, latest, {
        status,
        reason: request.reason,
        at,
        invalidityDate: request.invalidityDate ?? null,
      });
      const audit = certificateAudit(row, hold ? 'certificate.held' : 'certificate.revoked', {
        reason: request.reason,
      });
      const heirs = request.reason === 'keyCompromise' ? await revokeHeirs(tx, row, at) : { audits: [], changes: [] };
      const seq = await logStatus(tx, a, actor, at, [audit, ...heirs.audits], [change, ...heirs.changes]);
      return { row, status, seq, at };
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(result.seq);
  const { row, status, seq, at } = result;
  const obtained = request.reason === 'keyCompromise' ? await obtainedWith(a, actor, [row]) : undefined;
  return { ...certificateReceipt(row, status, seq, at), ...(obtained && { obtained }) };
}

/** Lifts a hold. Throws `conflict` for anything that is not on hold (CX05). */
export async function releaseCertificate(a: AuthorityContext, actor: Actor, serialText: string): Promise<Receipt> {
  const result = await a.database.transaction(
    async (tx) => {
      const row = await requireCertificate(tx, serialText);
      const latest = await latestStatus(tx, 'certificate', row.serial.toString('hex'));
      if (latest?.status !== 'onHold') throw new AuthorityError('conflict', 'the certificate is not on hold');
      for (const { kind, status } of await suspensionsOver(tx, row)) {
        if (status.status === 'suspended') {
          throw new AuthorityError('conflict', `the ${kind} is suspended; resume it first`);
        }
      }
      const at = a.clock.now();
      const seq = await logStatus(
        tx,
        a,
        actor,
        at,
        [certificateAudit(row, 'certificate.released', {})],
        [release(row, at)],
      );
      return { row, seq, at };
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(result.seq);
  return certificateReceipt(result.row, 'active', result.seq, result.at);
}

const certificateReceipt = (row: CertificateRow, status: string, seq: number, at: Date): Receipt =>
  receipt('certificate', row.serial.toString('hex'), status, seq, at, [row]);

/** The hold was made by suspending the device or its group: it has the time of that suspension. */
async function heldBySuspension(tx: Tx, row: CertificateRow, latest: StatusRow): Promise<boolean> {
  const over = await suspensionsOver(tx, row);
  return over.some(({ status }) => status.status === 'suspended' && status.at.getTime() === latest.at.getTime());
}

/** What the log says last of the certificate's device and of the group that this is in. */
async function suspensionsOver(
  tx: Tx,
  row: CertificateRow,
): Promise<{ kind: 'device' | 'group'; status: StatusRow }[]> {
  if (row.deviceId === null) return [];
  const groupId = (await findDevice(tx, row.deviceId))?.groupId ?? null;
  const device = await latestStatus(tx, 'device', row.deviceId);
  const group = groupId === null ? undefined : await latestStatus(tx, 'group', groupId);
  return [
    ...(device ? [{ kind: 'device' as const, status: device }] : []),
    ...(group ? [{ kind: 'group' as const, status: group }] : []),
  ];
}

/** The certificate that it renews, or by whose key its own, which cannot sign, was asked for. */
const obtainedBy = ({ requester }: CertificateRow): string => requester.replace(/^possession:/, 'certificate:');

/** Those of the family that were obtained with one of these, or with one that was; none of these themselves. */
export function obtainedFrom(rows: readonly CertificateRow[], family: readonly CertificateRow[]): CertificateRow[] {
  const idOf = ({ serial }: CertificateRow): string => `certificate:${serial.toString('hex')}`;
  const reached = new Set(rows.map(idOf));
  const known = new Set(reached);
  // A renewal is younger than what it renews: one pass in the order of age finds all.
  return family
    .toSorted((one, other) => one.createdAt.getTime() - other.createdAt.getTime())
    .filter((one) => reached.has(obtainedBy(one)) && reached.add(idOf(one)) && !known.has(idOf(one)));
}

/** Every certificate of the device that was obtained with this one, or with one that was, and is not revoked yet. */
export async function revokeHeirs(
  tx: Tx,
  row: CertificateRow,
  at: Date,
): Promise<{ audits: StatusAudit[]; changes: StatusChange[] }> {
  if (row.deviceId === null) return { audits: [], changes: [] };
  // Also those that have ended: what was obtained with one of them may be good.
  const family = await lockUnexpiredOfDevices(tx, [row.deviceId], row.notBefore);
  const heirs = obtainedFrom([row], family);
  const latest = await latestStatuses(
    tx,
    'certificate',
    heirs.map((heir) => heir.serial.toString('hex')),
  );
  const live = heirs.filter(
    (heir) => heir.notAfter > at && latest.get(heir.serial.toString('hex'))?.status !== 'revoked',
  );
  const change = { status: 'revoked', reason: 'keyCompromise', at, invalidityDate: null };
  return {
    audits: live.map((heir) =>
      certificateAudit(heir, 'certificate.revoked', {
        reason: 'keyCompromise',
        obtainedWith: row.serial.toString('hex'),
      }),
    ),
    changes: live.map((heir) => revocation(heir, latest.get(heir.serial.toString('hex')), change)),
  };
}

async function requireCertificate(tx: Tx, serialText: string): Promise<CertificateRow> {
  const serial = parseSerial(serialText);
  const row = serial === undefined ? undefined : await lockCertificate(tx, serial);
  if (!row) throw notFound('certificate');
  return row;
}

/**
 * The row of the log that revokes or holds a certificate. Tightening to keyCompromise keeps the first revocation date: the
 * certificate has been revoked since then, and no date may move in a CRL that clients hold.
 */
export function revocation(
  row: CertificateRow,
  latest: StatusRow | undefined,
  change: Pick<StatusChange, 'status' | 'reason' | 'at' | 'invalidityDate'>,
): StatusChange {
  return statusChange({
    kind: 'certificate',
    subject: row.serial.toString('hex'),
    status: change.status,
    reason: change.reason,
    at: latest?.status === 'revoked' ? latest.at : change.at,
    invalidityDate: change.invalidityDate,
    ...placeInCrls(row),
  });
}

/** No CRL lists what has no revocation service (X28): to the log such a certificate is of no issuer. */
const placeInCrls = ({ published, issuerId, shard, notAfter }: CertificateRow) => ({
  issuerId: published ? issuerId : null,
  shard: published ? shard : null,
  notAfter,
});

export function release(row: CertificateRow, at: Date): StatusChange {
  return statusChange({
    kind: 'certificate',
    subject: row.serial.toString('hex'),
    status: 'active',
    at,
    ...placeInCrls(row),
  });
}

export function certificateAudit(
  row: CertificateRow,
  action: StatusAudit['action'],
  detail: Readonly<Record<string, string | null>>,
): StatusAudit {
  return {
    action,
    subject: `certificate:${row.serial.toString('hex')}`,
    ownerOrgId: row.ownerOrgId,
    issuerOrgId: row.issuerOrgId,
    detail: { ...detail, deviceId: row.deviceId },
  };
}

export interface ShownCertificateStatus {
  status: 'issuing' | 'active' | 'onHold' | 'revoked' | 'expired';
  reason: string | null;
  revokedAt: Date | null;
}

/** As shown: from the status log; an abandoned serial counts as revoked. */
export function certificateStatus(
  a: Pick<AuthorityContext, 'follower' | 'clock'>,
  row: Pick<CertificateRow, 'serial' | 'state' | 'notAfter'>,
): ShownCertificateStatus {
  const entry = a.follower.index.certificate(row.serial.toString('hex'));
  if (entry?.status === 'revoked' || row.state === 'abandoned') {
    return { status: 'revoked', reason: entry?.reason ?? null, revokedAt: entry?.at ?? null };
  }
  if (entry?.status === 'onHold') return { status: 'onHold', reason: entry.reason, revokedAt: entry.at };
  if (row.state === 'issuing') return { status: 'issuing', reason: null, revokedAt: null };
  return { status: row.notAfter <= a.clock.now() ? 'expired' : 'active', reason: null, revokedAt: null };
}
