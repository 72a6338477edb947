import { auditValues, type NewAuditRow } from './audit.js';
import type { Tx } from './database.js';
import { namesHeld } from './names-held.js';

/** What is recorded, and committed, before any signer is asked. */
export interface IntentRow {
  serial: Buffer;
  issuerId: string;
  shard: number;
  notBefore: Date;
  notAfter: Date;
  profile: string;
  profileVersion: number;
  /** False: without any revocation service (RFC 9608). */
  published: boolean;
  tbs: Buffer;
  spkiSha256: Buffer;
  subject: string;
  names: string[];
  deviceId: string | null;
  appId: string | null;
  releaseId: string | null;
  secretId: string | null;
  /** Identifies what was asked together with requester and key, for idempotent retries (E88, E91). */
  requestLabel: string;
  requester: string;
  ownerOrgId: string | null;
  issuerOrgId: string;
  /** Under secrets/status.mac; made and checked above this lib. */
  mac: Buffer;
}

export interface CertificateRow extends IntentRow {
  state: 'issuing' | 'issued' | 'abandoned';
  der: Buffer | null;
  sha256: Buffer | null;
  supersededBy: Buffer | null;
  createdAt: Date;
}

/** Of `CERTIFICATE_FROM`, as a CertificateRow. */
export const CERTIFICATE_COLUMNS = `c.serial, c.issuer_id as "issuerId", s.shard, s.published, c.not_before as "notBefore", c.not_after as "notAfter",
  c.profile, c.profile_version as "profileVersion", c.tbs, c.spki_sha256 as "spkiSha256", c.subject, c.names,
  c.device_id as "deviceId", c.app_id as "appId", c.release_id as "releaseId", c.secret_id as "secretId",
  c.request_label as "requestLabel", c.requester, c.owner_org_id as "ownerOrgId", c.issuer_org_id as "issuerOrgId",
  s.state, c.der, c.sha256, c.superseded_by as "supersededBy", c.created_at as "createdAt", c.mac`;
// not_after is the partition key: with it the planner looks into one partition, without it into all.
export const CERTIFICATE_FROM = `from certificates c join serials s on s.serial = c.serial and s.not_after = c.not_after`;

/** `where` decides whether anything is written at all. */
const intentStatement = (where: string): string => `
  taken as (
    insert into serials (serial, issuer_id, shard, not_after, published)
    select $1::bytea, $2::uuid, $3::smallint, $5::timestamptz, $30::boolean ${where} returning serial
  ), audited as (
    insert into audit (at, actor, action, subject, outcome, request_id, canonical, owner_org_id, issuer_org_id)
    select $21::timestamptz, $22, $23, $24, $25, $26, $27::bytea, $28::uuid, $29::uuid from taken
  )
  insert into certificates (serial, issuer_id, not_before, not_after, profile, profile_version, tbs, spki_sha256,
    subject, names, device_id, app_id, release_id, secret_id, request_label, requester, owner_org_id, issuer_org_id, mac)
  select serial, $2::uuid, $4::timestamptz, $5::timestamptz, $6, $7::integer, $8::bytea, $9::bytea, $10, $11::text[],
    $12::uuid, $13::uuid, $14::uuid, $15, $16, $17, $18::uuid, $19::uuid, $20::bytea from taken`;

// The last wall for every way to a certificate; a CA carries its own key, and another certificate of it the same one.
const RECORD_INTENT = `with ${intentStatement(`where not exists (
  select 1 from blocked_keys b where b.spki_sha256 = $9 and (b.source <> 'ca' or $6::text not like '%-ca'))`)}`;

// The device is locked first, as its revocation does: of the two, the later one sees what the earlier one did.
const RECORD_BOUND_INTENT = `with device as (
    select d.id from devices d where d.id = $12 and d.status in ('registered', 'enrolled') and (d.group_id is null or
      coalesce((select status from status_changes where kind = 'group' and subject = d.group_id::text
                order by seq desc limit 1), 'active') = 'active')
      and d.mac is not distinct from $33::bytea and ${namesHeld('d.name_holders')}
    for no key update
  ), bound as (
    update enrollment_secrets set state = 'bound', bound_serial = $1, bound_request = $32
    where id = $31 and state = 'free' and coalesce(bound_request, $32) = $32 and exists (select 1 from device)
      and not exists (select 1 from blocked_keys where spki_sha256 = $9)
    returning id
  ), ${intentStatement('from bound')}`;

/**
 * The intent, in one statement: serial number, to-be-signed bytes, audit entry, and the binding of the one-time secret that
 * asks for it. False, with nothing written, when that secret is not free any more, its device or the group of it may not
 * enroll, its profile or names were changed since (`deviceMac`), one of them is not held any more, or the key is blocked.
 */
export async function recordIntent(
  tx: Tx,
  row: IntentRow,
  audit: NewAuditRow,
  secret: { id: string; request: Buffer; deviceMac: Buffer | null } | null,
): Promise<boolean> {
  const values = [
    row.serial,
    row.issuerId,
    row.shard,
    row.notBefore,
    row.notAfter,
    row.profile,
    row.profileVersion,
    row.tbs,
    row.spkiSha256,
    row.subject,
    row.names,
    row.deviceId,
    row.appId,
    row.releaseId,
    row.secretId,
    row.requestLabel,
    row.requester,
    row.ownerOrgId,
    row.issuerOrgId,
    row.mac,
    ...auditValues(audit),
    row.published,
  ];
  const recorded = await (secret
    ? tx.run(RECORD_BOUND_INTENT, [...values, secret.id, secret.request, secret.deviceMac])
    : tx.run(RECORD_INTENT, values));
  return recorded === 1;
}

/**
 * The signed certificate arrives, in one statement: der once, serial out of `issuing`, the secret of the intent spent, the
 * certificate it renews marked, a registered device enrolled, the audit entry. False, with nothing written, when the intent
 * is not open any more (signed by another, or abandoned).
 */
export async function storeSigned(
  tx: Tx,
  row: { serial: Buffer; notAfter: Date; der: Buffer; supersedes: Buffer | null; deviceId: string | null },
  audit: NewAuditRow,
): Promise<boolean> {
  // Always true, the count makes the device be locked before the serial, in the order in which a revocation locks them.
  const stored = await tx.run(
    `with device as (
       select id from devices where id = $5 and status = 'registered' for no key update
     ), issued as (
       update serials set state = 'issued'
       where serial = $1 and state = 'issuing' and (select count(*) from device) >= 0 returning serial
     ), spent as (
       update enrollment_secrets set state = 'spent'
       where bound_serial = (select serial from issued) and state = 'bound'
     ), enrolled as (
       update devices set status = 'enrolled'
       where id = $5 and status = 'registered' and exists (select 1 from issued)
     ), renewed as (
       update certificates c set superseded_by = $1 from serials s
       where s.serial = $4 and c.serial = s.serial and c.not_after = s.not_after and c.superseded_by is null
         and exists (select 1 from issued)
     ), audited as (
       insert into audit (at, actor, action, subject, outcome, request_id, canonical, owner_org_id, issuer_org_id)
       select $6::timestamptz, $7, $8, $9, $10, $11, $12::bytea, $13::uuid, $14::uuid from issued
     )
     update certificates set der = $3 where serial = (select serial from issued) and not_after = $2`,
    [row.serial, row.notAfter, row.der, row.supersedes, row.deviceId, ...auditValues(audit)],
  );
  return stored === 1;
}

/**
 * issuing -> abandoned; frees the secret that the intent held, unless the device has got a newer one since or is revoked.
 * False when the intent is not open any more.
 */
export async function abandonIntent(tx: Tx, serial: Buffer): Promise<boolean> {
  const [result] = await tx.rows<{ abandoned: number }>(
    `with gone as (
       update serials set state = 'abandoned' where serial = $1 and state = 'issuing' returning serial
     ), freed as (
       update enrollment_secrets s set bound_serial = null, bound_request = null, state = case
         when exists (select 1 from enrollment_secrets n where n.device_id = s.device_id and n.created_at > s.created_at)
           or exists (select 1 from devices d where d.id = s.device_id and d.status = 'revoked') then 'withdrawn'
         else 'free' end
       where bound_serial = (select serial from gone) and state = 'bound'
     )
     select count(*)::int as abandoned from gone`,
    [serial],
  );
  return result?.abandoned === 1;
}

export async function findCertificate(tx: Tx, serial: Buffer): Promise<CertificateRow | undefined> {
  const [row] = await tx.rows<CertificateRow>(`select ${CERTIFICATE_COLUMNS} ${CERTIFICATE_FROM} where s.serial = $1`, [
    serial,
  ]);
  return row;
}

/** With its serial locked until the transaction ends, so that two changes of one certificate follow each other. */
export async function lockCertificate(tx: Tx, serial: Buffer): Promise<CertificateRow | undefined> {
  await tx.rows(`select 1 from serials where serial = $1 for no key update`, [serial]);
  return findCertificate(tx, serial);
}

/** Intents that are open for longer than `olderThanSeconds`, the oldest first. */
export async function findOpenIntents(tx: Tx, olderThanSeconds: number, limit: number): Promise<CertificateRow[]> {
  return tx.rows<CertificateRow>(
    `select ${CERTIFICATE_COLUMNS} ${CERTIFICATE_FROM}
     where s.state = 'issuing' and s.created_at <= now() - make_interval(secs => $1)
     order by s.created_at limit $2`,
    [olderThanSeconds, limit],
  );
}

/** The newest certificate of a device under a profile, good or not. */
export async function findNewestIssued(tx: Tx, deviceId: string, profile: string): Promise<CertificateRow | undefined> {
  const [row] = await tx.rows<CertificateRow>(
    `select ${CERTIFICATE_COLUMNS} ${CERTIFICATE_FROM}
     where c.device_id = $1 and c.profile = $2 and s.state = 'issued' order by c.created_at desc limit 1`,
    [deviceId, profile],
  );
  return row;
}

/** What was recorded, signed or not, for a key under a profile; the oldest first. */
export async function findIntentsOfKey(tx: Tx, spkiSha256: Buffer, profile: string): Promise<CertificateRow[]> {
  return tx.rows<CertificateRow>(
    `select ${CERTIFICATE_COLUMNS} ${CERTIFICATE_FROM} where c.spki_sha256 = $1 and c.profile = $2 and s.state <> 'abandoned'
     order by c.created_at`,
    [spkiSha256, profile],
  );
}

/** The newest certificate that the same requester got or is getting for the same request since `since`. */
export async function findRepeated(
  tx: Tx,
  request: { deviceId: string; requester: string; label: string; spkiSha256: Buffer; since: Date },
): Promise<CertificateRow | undefined> {
  const rows = await tx.rows<CertificateRow>(
    `select ${CERTIFICATE_COLUMNS} ${CERTIFICATE_FROM}
     where c.spki_sha256 = $1 and c.not_after > $2 and c.device_id = $3 and c.requester = $4 and c.request_label = $5
       and c.created_at >= $2 and s.state <> 'abandoned'`,
    [request.spkiSha256, request.since, request.deviceId, request.requester, request.label],
  );
  // Few certificates share a key: sorting them here keeps the planner on the index of keys.
  return rows.toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime()).at(-1);
}

/**
 * Every certificate of these devices that is not past its end: what is revoked with them. Each is locked as by
 * `lockCertificate`, or a release decided before this could be written after it.
 */
export async function lockUnexpiredOfDevices(
  tx: Tx,
  deviceIds: readonly string[],
  at: Date,
): Promise<CertificateRow[]> {
  return tx.rows<CertificateRow>(
    `select ${CERTIFICATE_COLUMNS} ${CERTIFICATE_FROM} where c.device_id = any($1::uuid[]) and c.not_after > $2 order by c.serial
     for no key update of s`,
    [deviceIds, at],
  );
}

/** Every certificate of the device, signed or not, that is not past its end; the newest first. */
export async function listUnexpiredOfDevice(tx: Tx, deviceId: string, at: Date): Promise<CertificateRow[]> {
  return tx.rows<CertificateRow>(
    `select ${CERTIFICATE_COLUMNS} ${CERTIFICATE_FROM} where c.device_id = $1 and c.not_after > $2
     order by c.created_at desc limit 100`,
    [deviceId, at],
  );
}

export interface KnownSerial {
  serial: Buffer;
  issuerId: string;
  shard: number;
  notAfter: Date;
  state: 'issuing' | 'issued' | 'abandoned';
  /** False: nothing tells of it but the log (X28). */
  published: boolean;
}

/** What the responder needs to know of a serial: whether it was ever issued, by whom, until when. */
export async function findSerial(tx: Tx, serial: Buffer): Promise<KnownSerial | undefined> {
  const [row] = await tx.rows<KnownSerial>(
    `select serial, issuer_id as "issuerId", shard, not_after as "notAfter", state, published from serials where serial = $1`,
    [serial],
  );
  return row;
}
