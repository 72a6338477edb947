import type { Tx } from './database.js';

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
