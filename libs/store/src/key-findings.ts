import type { Tx } from './database.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

export type KeyProblem = 'blocked' | 'weak';

/** The last search for bad keys. */
export interface KeyScan {
  /** Version of the rules about weak keys that every certificate was held against. */
  rules: number;
  /** The newest import that was known then. */
  importId: string | null;
  scannedAt: Date | null;
  /** Imports whose keys are not all there any more. */
  altered: number;
}

/** A certificate that is good and whose key is not. */
export interface KeyFinding {
  serial: Buffer;
  notAfter: Date;
  problem: KeyProblem;
  /** Why the key is blocked, or what is weak about it. */
  detail: string;
  foundAt: Date;
}

export interface SuspectCertificate {
  serial: Buffer;
  notAfter: Date;
  der: Buffer;
  profile: string;
  deviceId: string | null;
  ownerOrgId: string | null;
  issuerOrgId: string | null;
  /** Why its key is blocked; null where it is not. */
  blocked: string | null;
}

/** With the newest import there is. */
export async function readKeyScan(tx: Tx): Promise<KeyScan & { newestImport: string | null }> {
  const [row] = await tx.rows<KeyScan & { newestImport: string | null }>(
    `select rules, import_id as "importId", scanned_at as "scannedAt", altered,
       (select id from blocked_key_imports order by id desc limit 1) as "newestImport"
     from key_scan where id = 1`,
  );
  return row!;
}

export async function storeKeyScan(tx: Tx, scan: KeyScan): Promise<void> {
  await tx.run(`update key_scan set rules = $1, import_id = $2, scanned_at = $3, altered = $4 where id = 1`, [
    scan.rules,
    scan.importId,
    scan.scannedAt,
    scan.altered,
  ]);
}

/**
 * The next `limit` certificates by serial that are signed, neither revoked nor past their end, and not found before: those with a blocked key, or all
 * of them. A CA carries its own key, which nobody else may.
 */
export async function readSuspects(
  tx: Tx,
  scan: { at: Date; after: Buffer | null; limit: number; all: boolean; cas: readonly string[] },
): Promise<SuspectCertificate[]> {
  const { at, after, limit, all, cas } = scan;
  return tx.rows<SuspectCertificate>(
    `select c.serial, c.not_after as "notAfter", c.der, c.profile, c.device_id as "deviceId",
       c.owner_org_id as "ownerOrgId", c.issuer_org_id as "issuerOrgId", b.reason as blocked
     from certificates c left join blocked_keys b
       on b.spki_sha256 = c.spki_sha256 and not (b.source = 'ca' and c.profile = any($5::text[]))
     where c.der is not null and c.not_after > $1 and ($2::bytea is null or c.serial > $2) and ($4 or b.reason is not null)
       and not exists (select 1 from key_findings f where f.serial = c.serial)
       and coalesce((select l.status from status_changes l where l.kind = 'certificate' and l.subject = encode(c.serial, 'hex')
                     order by l.seq desc limit 1), '') <> 'revoked'
     order by c.serial limit $3`,
    [at, after, limit, all, cas],
  );
}

/** False where it was found before. */
export async function recordKeyFinding(tx: Tx, finding: KeyFinding): Promise<boolean> {
  const { serial, notAfter, problem, detail, foundAt } = finding;
  return (
    (await tx.run(
      `insert into key_findings (serial, not_after, problem, detail, found_at) values ($1, $2, $3, $4, $5) on conflict do nothing`,
      [serial, notAfter, problem, detail, foundAt],
    )) === 1
  );
}

/** Forgets what has ended or is revoked since. Returns how many. */
export async function clearKeyFindings(tx: Tx, at: Date): Promise<number> {
  return tx.run(
    `delete from key_findings f where f.not_after <= $1 or (
       select l.status from status_changes l where l.kind = 'certificate' and l.subject = encode(f.serial, 'hex')
       order by l.seq desc limit 1) = 'revoked'`,
    [at],
  );
}

/** Newest first. */
export async function listKeyFindings(tx: Tx, page: PageRequest): Promise<Page<KeyFinding>> {
  const [foundAt, serial] = page.cursor === undefined ? [null, null] : decodeCursor(page.cursor, ['number', 'serial']);
  const rows = await tx.rows<KeyFinding & { foundMicros: string }>(
    `select serial, not_after as "notAfter", problem, detail, found_at as "foundAt",
       (extract(epoch from found_at) * 1000000)::bigint::text as "foundMicros"
     from key_findings
     where $1::bigint is null or (found_at, serial) < (timestamptz 'epoch' + $1 * interval '1 microsecond', decode($2, 'hex'))
     order by found_at desc, serial desc limit $3`,
    [foundAt ?? null, serial ?? null, page.limit + 1],
  );
  return toPage(rows, page.limit, (row) => [row.foundMicros, row.serial.toString('hex')]);
}

/** Keys whose certificate the log revoked as compromised and that nobody blocks any more. */
export async function findUnblockedCompromised(tx: Tx, limit: number): Promise<Buffer[]> {
  const rows = await tx.rows<{ key: Buffer }>(
    `select distinct c.spki_sha256 as key
     from status_changes l join serials s on s.serial = decode(l.subject, 'hex')
       join certificates c on c.serial = s.serial and c.not_after = s.not_after
     where l.kind = 'certificate' and l.status = 'revoked' and l.reason = 'keyCompromise'
       and not exists (select 1 from blocked_keys b where b.spki_sha256 = c.spki_sha256)
     limit $1`,
    [limit],
  );
  return rows.map(({ key }) => key);
}
