import type { Tx } from './database.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

export type PendingState = 'pending' | 'approved' | 'rejected' | 'expired' | 'withdrawn' | 'done';

/** A first enrollment that somebody has to approve, as it was asked for; written once. */
export interface NewPendingEnrollment {
  id: string;
  deviceId: string;
  requester: string;
  requestLabel: string;
  /** E88: digest of principal, label, key and names. */
  request: Buffer;
  profile: string;
  keyType: string;
  spkiSha256: Buffer;
  /** In canonical form. */
  names: string[];
  /** As received, for display; null where it carries a secret. */
  csr: Buffer | null;
  address: string;
  requestedAt: Date;
  ownerOrgId: string;
  issuerOrgId: string;
}

export interface PendingEnrollmentRow extends NewPendingEnrollment {
  state: PendingState;
  expiresAt: Date;
  decider: string | null;
  deciderPerson: string | null;
  decidedAt: Date | null;
  /** Of a rejection, for the device. */
  reason: string | null;
  /** Of the certificate that it came to, once its intent is recorded. */
  serial: Buffer | null;
  /** Under secrets/status.mac, over all of it; made and checked above this lib. */
  mac: Buffer;
}

const COLUMNS = `id, device_id as "deviceId", requester, request_label as "requestLabel", request, profile,
  key_type as "keyType", spki_sha256 as "spkiSha256", names, csr, address, state, requested_at as "requestedAt",
  expires_at as "expiresAt", decider, decider_person as "deciderPerson", decided_at as "decidedAt", reason, serial,
  owner_org_id as "ownerOrgId", issuer_org_id as "issuerOrgId", mac`;

/** The device is locked meanwhile, so that there is one open row of a request. */
export async function insertPendingEnrollment(tx: Tx, row: PendingEnrollmentRow): Promise<void> {
  await tx.run(
    `insert into pending_enrollments (id, device_id, requester, request_label, request, profile, key_type, spki_sha256, names,
       csr, address, requested_at, expires_at, owner_org_id, issuer_org_id, mac)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
    [
      row.id,
      row.deviceId,
      row.requester,
      row.requestLabel,
      row.request,
      row.profile,
      row.keyType,
      row.spkiSha256,
      row.names,
      row.csr,
      row.address,
      row.requestedAt,
      row.expiresAt,
      row.ownerOrgId,
      row.issuerOrgId,
      row.mac,
    ],
  );
}

/** The open row of a request, or the newest, locked, with what became of the certificate that it came to. */
export async function lockPendingRequest(
  tx: Tx,
  request: Buffer,
): Promise<(PendingEnrollmentRow & { serialState: string | null }) | undefined> {
  const [row] = await tx.rows<PendingEnrollmentRow & { serialState: string | null }>(
    `select ${COLUMNS}, (select s.state from serials s where s.serial = p.serial) as "serialState"
     from pending_enrollments p where request = $1 order by state in ('pending', 'approved') desc, id desc limit 1
     for no key update`,
    [request],
  );
  return row;
}

export async function findPendingEnrollment(tx: Tx, id: string): Promise<PendingEnrollmentRow | undefined> {
  const [row] = await tx.rows<PendingEnrollmentRow>(`select ${COLUMNS} from pending_enrollments where id = $1`, [id]);
  return row;
}

export async function lockPendingEnrollment(tx: Tx, id: string): Promise<PendingEnrollmentRow | undefined> {
  const [row] = await tx.rows<PendingEnrollmentRow>(
    `select ${COLUMNS} from pending_enrollments where id = $1 for no key update`,
    [id],
  );
  return row;
}

/** Those of a device that still wait, or wait to be fetched, locked. */
export async function lockOpenOfDevice(tx: Tx, deviceId: string): Promise<PendingEnrollmentRow[]> {
  return lockOpenOfDevices(tx, [deviceId]);
}

/** The same of many devices. */
export async function lockOpenOfDevices(tx: Tx, deviceIds: readonly string[]): Promise<PendingEnrollmentRow[]> {
  return tx.rows<PendingEnrollmentRow>(
    `select ${COLUMNS} from pending_enrollments where device_id = any($1) and state in ('pending', 'approved')
     order by id for no key update`,
    [deviceIds],
  );
}

/** Those past their end, at most `limit`, locked; what another transaction decides just now is left to it. */
export async function lockLapsedEnrollments(tx: Tx, at: Date, limit: number): Promise<PendingEnrollmentRow[]> {
  return tx.rows<PendingEnrollmentRow>(
    `select ${COLUMNS} from pending_enrollments where state in ('pending', 'approved') and expires_at <= $1
     order by expires_at limit $2 for no key update skip locked`,
    [at, limit],
  );
}

/** By a person. */
export async function decidePendingEnrollment(tx: Tx, row: PendingEnrollmentRow): Promise<void> {
  await tx.run(
    `update pending_enrollments set state = $2, decider = $3, decider_person = $4, decided_at = $5, reason = $6,
       expires_at = $7, mac = $8 where id = $1`,
    [row.id, row.state, row.decider, row.deciderPerson, row.decidedAt, row.reason, row.expiresAt, row.mac],
  );
}

/** By time, or because the device may not enroll any more. */
export async function closePendingEnrollment(
  tx: Tx,
  row: Pick<PendingEnrollmentRow, 'id' | 'state' | 'decidedAt' | 'mac'>,
): Promise<void> {
  await tx.run(`update pending_enrollments set state = $2, decided_at = $3, mac = $4 where id = $1`, [
    row.id,
    row.state,
    row.decidedAt,
    row.mac,
  ]);
}

/** By what became of the group of its device. */
export async function endPendingEnrollment(
  tx: Tx,
  row: Pick<PendingEnrollmentRow, 'id' | 'state' | 'decidedAt' | 'decider' | 'reason' | 'mac'>,
): Promise<void> {
  await tx.run(
    `update pending_enrollments set state = $2, decided_at = $3, decider = $4, reason = $5, mac = $6 where id = $1`,
    [row.id, row.state, row.decidedAt, row.decider, row.reason, row.mac],
  );
}

/** The intent that it came to is recorded in the same transaction. */
export async function fulfilPendingEnrollment(
  tx: Tx,
  row: Pick<PendingEnrollmentRow, 'id' | 'serial' | 'mac'>,
): Promise<void> {
  await tx.run(`update pending_enrollments set state = 'done', serial = $2, mac = $3 where id = $1`, [
    row.id,
    row.serial,
    row.mac,
  ]);
}

/** Newest first. `states`: only these; null: all. */
export async function listPendingEnrollments(
  tx: Tx,
  page: PageRequest,
  states: readonly PendingState[] | null,
): Promise<Page<PendingEnrollmentRow>> {
  const [before] = page.cursor === undefined ? [null] : decodeCursor(page.cursor, ['uuid']);
  const rows = await tx.rows<PendingEnrollmentRow>(
    `select ${COLUMNS} from pending_enrollments
     where ($1::uuid is null or id < $1) and ($2::text[] is null or state = any($2)) order by id desc limit $3`,
    [before ?? null, states, page.limit + 1],
  );
  return toPage(rows, page.limit, (row) => [row.id]);
}

/** The secret is for this request from now on, and for no other; false where it was for another before, or is not free. */
export async function bindFreeSecret(tx: Tx, secretId: string, request: Buffer): Promise<boolean> {
  return (
    (await tx.run(
      `update enrollment_secrets set bound_request = $2
       where id = $1 and state = 'free' and (bound_request is null or bound_request = $2)`,
      [secretId, request],
    )) === 1
  );
}

/** A request that ended without anybody's decision gives its secret back. */
export async function unbindFreeSecret(tx: Tx, secretId: string): Promise<void> {
  await tx.run(`update enrollment_secrets set bound_request = null where id = $1 and state = 'free'`, [secretId]);
}
