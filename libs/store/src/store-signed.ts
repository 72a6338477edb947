import { auditRecord, AUDIT_RECORD, insertAuditsFrom, type NewAuditRow } from './audit.js';
import type { Tx } from './database.js';
import { hexOf, hexOrNull } from './hex.js';

/** A certificate that was signed: the intent it is of, and the certificate that it renews. */
export interface SignedRow {
  serial: Buffer;
  notAfter: Date;
  der: Buffer;
  supersedes: Buffer | null;
  deviceId: string | null;
}

// Of each table that is partitioned, a statement opens the partitions that `not_after` leaves: the bounds leave one or two of
// them, and what nobody asks for is not in the text. The opening costs more than the writing.
// Always true, the count makes the device be locked before the serial, in the order in which a revocation locks them.
const storeStatement = (renewed: string): string => `with asked as materialized (
    select * from jsonb_to_recordset($1::jsonb) as r(serial bytea, not_after timestamptz, der bytea, supersedes bytea,
      device_id uuid, ${AUDIT_RECORD})
  ), device as (
    select locked.id from asked cross join lateral (
      select id from devices d where d.id = asked.device_id and d.status = 'registered' for no key update) as locked
  ), issued as (
    update serials s set state = 'issued' from asked
    where s.serial = asked.serial and s.state = 'issuing' and (select count(*) from device) >= 0 returning s.serial
  ), signed as (
    select asked.* from asked join issued using (serial)
  ), spent as (
    update enrollment_secrets s set state = 'spent' from issued where s.bound_serial = issued.serial and s.state = 'bound'
  ), enrolled as (
    update devices d set status = 'enrolled' from signed where d.id = signed.device_id and d.status = 'registered'
  ), ${renewed}audited as (
    ${insertAuditsFrom('signed')}
  )
  update certificates c set der = signed.der from signed
  where c.serial = signed.serial and c.not_after = signed.not_after
    and c.not_after between $2::timestamptz and $3::timestamptz returning c.serial`;

const STORE_FIRST = storeStatement('');
const STORE_RENEWED = storeStatement(`renewed as (
    update certificates c set superseded_by = signed.serial from signed join serials s on s.serial = signed.supersedes
    where c.serial = s.serial and c.not_after = s.not_after and c.superseded_by is null
  ), `);

/**
 * Signed certificates arrive, in one statement: der once, serial out of `issuing`, the secret of the intent spent, the
 * certificate it renews marked, a registered device enrolled, the audit entry. False, with nothing of this one written, when
 * the intent is not open any more (signed by another, or abandoned).
 */
export async function storeAllSigned(
  tx: Tx,
  certificates: readonly { row: SignedRow; audit: NewAuditRow }[],
): Promise<boolean[]> {
  // Everybody locks devices in one order.
  const sorted = certificates.toSorted((x, y) => (String(x.row.deviceId) < String(y.row.deviceId) ? -1 : 1));
  const records = sorted.map(({ row, audit }) => ({
    ...auditRecord(audit),
    serial: hexOf(row.serial),
    not_after: row.notAfter.toISOString(),
    der: hexOf(row.der),
    supersedes: hexOrNull(row.supersedes),
    device_id: row.deviceId,
  }));
  const ends = certificates.map(({ row }) => row.notAfter.getTime());
  const stored = await tx.rows<{ serial: Buffer }>(
    certificates.some(({ row }) => row.supersedes !== null) ? STORE_RENEWED : STORE_FIRST,
    [JSON.stringify(records), new Date(Math.min(...ends)), new Date(Math.max(...ends))],
  );
  const serials = new Set(stored.map(({ serial }) => serial.toString('hex')));
  return certificates.map(({ row }) => serials.has(row.serial.toString('hex')));
}

/** The same for one. */
export async function storeSigned(tx: Tx, row: SignedRow, audit: NewAuditRow): Promise<boolean> {
  const [stored = false] = await storeAllSigned(tx, [{ row, audit }]);
  return stored;
}
