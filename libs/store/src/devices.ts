import type { Tx } from './database.js';
import { hexOf } from './hex.js';
import { namesHeld } from './names-held.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

export type DeviceStatus = 'registered' | 'enrolled' | 'suspended' | 'revoked';

export interface Device {
  id: string;
  instanceId: string;
  appId: string;
  releaseId: string | null;
  groupId: string | null;
  profile: string;
  /** Canonical texts; what they rest on stands in `nameHolders`: ids of domains and users. */
  names: string[];
  nameHolders: string[];
  status: DeviceStatus;
  ownerOrgId: string;
  issuerOrgId: string;
  /** When profile and names were given; `mac` covers that and all that is fixed. Both absent in devices of before 0.3. */
  boundAt: Date | null;
  mac: Buffer | null;
  createdAt: Date;
}

export const DEVICE_COLUMNS = `id, instance_id as "instanceId", app_id as "appId", release_id as "releaseId", group_id as "groupId",
  profile, names, name_holders as "nameHolders", status, owner_org_id as "ownerOrgId", issuer_org_id as "issuerOrgId",
  bound_at as "boundAt", mac, created_at as "createdAt"`;

/** `undefined` when the instanceId is taken, whoever holds it: one CA vouches for it to everyone. */
export async function insertDevice(tx: Tx, row: Omit<Device, 'createdAt' | 'status'>): Promise<Device | undefined> {
  const [made] = await tx.rows<Device>(
    `insert into devices (id, instance_id, app_id, release_id, group_id, profile, names, owner_org_id, issuer_org_id,
       name_holders, bound_at, mac)
     values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10::uuid[], $11, $12)
     on conflict (instance_id) do nothing returning ${DEVICE_COLUMNS}`,
    [
      row.id,
      row.instanceId,
      row.appId,
      row.releaseId,
      row.groupId,
      row.profile,
      JSON.stringify(row.names),
      row.ownerOrgId,
      row.issuerOrgId,
      row.nameHolders,
      row.boundAt,
      row.mac,
    ],
  );
  return made;
}

export async function findDevice(tx: Tx, id: string): Promise<Device | undefined> {
  const [row] = await tx.rows<Device>(`select ${DEVICE_COLUMNS} from devices where id = $1`, [id]);
  return row;
}

/** In no order; those that are not there are left out. */
export async function findDevices(tx: Tx, ids: readonly string[]): Promise<Device[]> {
  return tx.rows<Device>(`select ${DEVICE_COLUMNS} from devices where id = any($1)`, [ids]);
}

export interface DeviceFilter {
  status?: DeviceStatus | undefined;
  appId?: string | undefined;
  groupId?: string | undefined;
}

export async function listDevices(tx: Tx, page: PageRequest, filter: DeviceFilter): Promise<Page<Device>> {
  const [before] = page.cursor === undefined ? [null] : decodeCursor(page.cursor, ['uuid']);
  const rows = await tx.rows<Device>(
    `select ${DEVICE_COLUMNS} from devices
     where ($1::uuid is null or id < $1) and ($2::text is null or status = $2)
       and ($3::uuid is null or app_id = $3) and ($4::uuid is null or group_id = $4)
     order by id desc limit $5`,
    [before ?? null, filter.status ?? null, filter.appId ?? null, filter.groupId ?? null, page.limit + 1],
  );
  return toPage(rows, page.limit, (row) => [row.id]);
}

/** Conditional: true when the device was in one of `from`. */
export async function setDeviceStatus(
  tx: Tx,
  id: string,
  from: readonly DeviceStatus[],
  to: DeviceStatus,
): Promise<boolean> {
  return (await tx.run(`update devices set status = $3 where id = $1 and status = any($2)`, [id, from, to])) === 1;
}

/** Moves a device to another group or release; null takes it out. Returns the device, or undefined when there is none. */
export async function changeDevice(
  tx: Tx,
  id: string,
  change: { groupId?: string | null | undefined; releaseId?: string | null | undefined },
): Promise<Device | undefined> {
  const [row] = await tx.rows<Device>(
    `update devices set group_id = case when $2 then $3::uuid else group_id end,
            release_id = case when $4 then $5::uuid else release_id end
     where id = $1 returning ${DEVICE_COLUMNS}`,
    [
      id,
      change.groupId !== undefined,
      change.groupId ?? null,
      change.releaseId !== undefined,
      change.releaseId ?? null,
    ],
  );
  return row;
}

/** What decides whether a device may have a certificate now, read in one statement. */
export interface DeviceStanding {
  deviceStatus: string | null;
  groupStatus: string | null;
  /** Whether everything that the device's names rest on stands by the log. */
  namesHeld: boolean;
  keyBlocked: boolean;
}

/** Locks the device until the transaction ends: its enrollments and its revocation follow each other. */
export async function lockDevice(tx: Tx, id: string): Promise<Device | undefined> {
  const [row] = await tx.rows<Device>(`select ${DEVICE_COLUMNS} from devices where id = $1 for no key update`, [id]);
  return row;
}

/** What the log says last of the device and of its group, and whether the key is blocked. Call it with the device locked. */
export async function readStanding(
  tx: Tx,
  device: Pick<Device, 'id' | 'groupId' | 'nameHolders'>,
  spkiSha256: Buffer,
): Promise<DeviceStanding> {
  const [row] = await tx.rows<DeviceStanding>(
    `select
       (select status from status_changes where kind = 'device' and subject = $1::text order by seq desc limit 1)
         as "deviceStatus",
       (select status from status_changes where kind = 'group' and subject = $2::text order by seq desc limit 1)
         as "groupStatus",
       ${namesHeld('$4::uuid[]')} as "namesHeld",
       exists (select 1 from blocked_keys where spki_sha256 = $3) as "keyBlocked"`,
    [device.id, device.groupId, spkiSha256, device.nameHolders],
  );
  return row!;
}

/** The names of a device, as they are from now on. */
export async function bindDevice(
  tx: Tx,
  row: Pick<Device, 'id' | 'profile' | 'names' | 'nameHolders' | 'boundAt' | 'mac'>,
): Promise<void> {
  await tx.run(
    `update devices set profile = $2, names = $3::jsonb, name_holders = $4::uuid[], bound_at = $5, mac = $6 where id = $1`,
    [row.id, row.profile, JSON.stringify(row.names), row.nameHolders, row.boundAt, row.mac],
  );
}

/** Whose the instanceId is, whoever owns it. */
export async function findDeviceOfInstance(tx: Tx, instanceId: string): Promise<Device | undefined> {
  const [row] = await tx.rows<Device>(`select ${DEVICE_COLUMNS} from devices where instance_id = $1`, [instanceId]);
  return row;
}

/** Every secret that a device ever had, whatever became of it. */
export async function listEnrollmentSecrets(
  tx: Tx,
  deviceId: string,
): Promise<Pick<EnrollmentSecret, 'id' | 'sealedVerifier' | 'pepperVersion' | 'expiresAt'>[]> {
  return tx.rows(
    `select id, sealed_verifier as "sealedVerifier", pepper_version as "pepperVersion", expires_at as "expiresAt"
     from enrollment_secrets where device_id = $1 order by created_at`,
    [deviceId],
  );
}

export type SecretState = 'free' | 'bound' | 'spent' | 'withdrawn';

export interface EnrollmentSecret {
  id: string;
  deviceId: string;
  sealedVerifier: Buffer;
  /** H(A1) of HTTP Digest, sealed likewise; null where no label had Digest when it was made. */
  sealedDigest: Buffer | null;
  pepperVersion: number;
  state: SecretState;
  boundSerial: Buffer | null;
  boundRequest: Buffer | null;
  expiresAt: Date;
}

/** A one-time secret with all that decides about its use, read in one statement without a lock. */
export interface SecretEnrollment {
  secret: EnrollmentSecret;
  device: Device;
  standing: DeviceStanding;
}

type SecretEnrollmentRow = Device &
  DeviceStanding &
  Omit<EnrollmentSecret, 'id'> & { secretId: string; secretState: SecretState };

/** `spki`: the SHA-256 of the key that is asked for. */
const readEnrollment = (
  spki: string,
): string => `select d.id, d.instance_id as "instanceId", d.app_id as "appId", d.release_id as "releaseId",
       d.group_id as "groupId", d.profile, d.names, d.name_holders as "nameHolders", d.status,
       d.owner_org_id as "ownerOrgId", d.issuer_org_id as "issuerOrgId", d.bound_at as "boundAt", d.mac,
       d.created_at as "createdAt", s.id as "secretId",
       s.device_id as "deviceId", s.sealed_verifier as "sealedVerifier", s.sealed_digest as "sealedDigest",
       s.pepper_version as "pepperVersion",
       s.state as "secretState", s.bound_serial as "boundSerial", s.bound_request as "boundRequest",
       s.expires_at as "expiresAt",
       (select status from status_changes where kind = 'device' and subject = d.id::text order by seq desc limit 1)
         as "deviceStatus",
       (select status from status_changes where kind = 'group' and subject = d.group_id::text order by seq desc limit 1)
         as "groupStatus",
       ${namesHeld('d.name_holders')} as "namesHeld",
       exists (select 1 from blocked_keys where spki_sha256 = ${spki}) as "keyBlocked"
     from enrollment_secrets s join devices d on d.id = s.device_id`;

/** `undefined` for a secret that there is none of. */
export async function readSecretEnrollments(
  tx: Tx,
  asked: readonly { secretId: string; spkiSha256: Buffer }[],
): Promise<(SecretEnrollment | undefined)[]> {
  const rows = await tx.rows<SecretEnrollmentRow & { n: number }>(
    `select asked.n, found.* from jsonb_to_recordset($1::jsonb) as asked(n integer, id text, spki bytea)
       cross join lateral (${readEnrollment('asked.spki')} where s.id = asked.id) as found`,
    [JSON.stringify(asked.map(({ secretId, spkiSha256 }, n) => ({ n, id: secretId, spki: hexOf(spkiSha256) })))],
  );
  const found = new Map(rows.map(({ n, ...row }) => [n, toSecretEnrollment(row)]));
  return asked.map((_, n) => found.get(n));
}

/** The same for one. */
export async function readSecretEnrollment(
  tx: Tx,
  secretId: string,
  spkiSha256: Buffer,
): Promise<SecretEnrollment | undefined> {
  const [found] = await readSecretEnrollments(tx, [{ secretId, spkiSha256 }]);
  return found;
}

/** The secrets of a device that can be proved by HTTP Digest, the newest first: the device alone is named there. */
export async function readDigestEnrollments(
  tx: Tx,
  deviceId: string,
  spkiSha256: Buffer,
  limit: number,
): Promise<SecretEnrollment[]> {
  const rows = await tx.rows<SecretEnrollmentRow>(
    `${readEnrollment('$2')} where s.device_id = $1 and s.sealed_digest is not null order by s.created_at desc, s.id limit $3`,
    [deviceId, spkiSha256, limit],
  );
  return rows.map(toSecretEnrollment);
}

function toSecretEnrollment(row: SecretEnrollmentRow): SecretEnrollment {
  const { secretId, secretState, ...rest } = row;
  return { secret: { ...rest, id: secretId, state: secretState }, device: rest, standing: rest };
}

/** The newest secret of a device, whatever became of it: it stands for the one enrollment that was granted last. */
export async function findNewestSecret(tx: Tx, deviceId: string): Promise<EnrollmentSecret | undefined> {
  const [row] = await tx.rows<EnrollmentSecret>(
    `select id, device_id as "deviceId", sealed_verifier as "sealedVerifier", sealed_digest as "sealedDigest",
       pepper_version as "pepperVersion", state, bound_serial as "boundSerial", bound_request as "boundRequest", expires_at as "expiresAt"
     from enrollment_secrets where device_id = $1 order by created_at desc limit 1`,
    [deviceId],
  );
  return row;
}

export async function insertEnrollmentSecret(
  tx: Tx,
  row: Pick<EnrollmentSecret, 'id' | 'deviceId' | 'sealedVerifier' | 'sealedDigest' | 'pepperVersion' | 'expiresAt'>,
): Promise<void> {
  await tx.run(
    `insert into enrollment_secrets
       (id, device_id, sealed_verifier, sealed_digest, pepper_version, expires_at, owner_org_id, issuer_org_id)
     select $1, $2, $3, $4, $5, $6, owner_org_id, issuer_org_id from devices where id = $2`,
    [row.id, row.deviceId, row.sealedVerifier, row.sealedDigest, row.pepperVersion, row.expiresAt],
  );
}

/**
 * The free secrets of a device end, when it is revoked or gets a new one. A bound one still finishes the request that it
 * is bound to, and nothing else: `abandonIntent` does not free it then. Spent ones stay spent.
 */
export async function withdrawEnrollmentSecrets(tx: Tx, deviceId: string): Promise<number> {
  return tx.run(`update enrollment_secrets set state = 'withdrawn' where device_id = $1 and state = 'free'`, [
    deviceId,
  ]);
}
