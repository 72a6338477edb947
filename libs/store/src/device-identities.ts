import type { Tx } from './database.js';

/** SHA-256 of a certificate or of a public key, or what a manufacturer's certificate names the device by. */
export type DeviceIdentityKind = 'certificate' | 'key' | 'manufacturer';

/** What a device proves itself with before it has a certificate of ours. */
export interface DeviceIdentityRow {
  id: string;
  deviceId: string;
  kind: DeviceIdentityKind;
  /** Name of the set of trust anchors; empty but for `manufacturer`. */
  anchors: string;
  /** Lower-case hex of a SHA-256, or the identity as the set reads it. */
  value: string;
  /** The device was registered by it, by nobody else. */
  automatic: boolean;
  ownerOrgId: string;
  issuerOrgId: string;
  createdAt: Date;
  /** Under secrets/status.mac; made and checked above this lib. */
  mac: Buffer;
}

const COLUMNS = `id, device_id as "deviceId", kind, anchors, value, automatic, owner_org_id as "ownerOrgId",
  issuer_org_id as "issuerOrgId", created_at as "createdAt", mac`;

/** False when the identity is taken, whoever holds it. */
export async function insertDeviceIdentity(tx: Tx, row: Omit<DeviceIdentityRow, 'createdAt'>): Promise<boolean> {
  const inserted = await tx.run(
    `insert into device_identities (id, device_id, kind, anchors, value, automatic, owner_org_id, issuer_org_id, mac)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (kind, anchors, value) do nothing`,
    [row.id, row.deviceId, row.kind, row.anchors, row.value, row.automatic, row.ownerOrgId, row.issuerOrgId, row.mac],
  );
  return inserted === 1;
}

export async function findDeviceIdentity(
  tx: Tx,
  wanted: Pick<DeviceIdentityRow, 'kind' | 'anchors' | 'value'>,
): Promise<DeviceIdentityRow | undefined> {
  const [row] = await tx.rows<DeviceIdentityRow>(
    `select ${COLUMNS} from device_identities where kind = $1 and anchors = $2 and value = $3`,
    [wanted.kind, wanted.anchors, wanted.value],
  );
  return row;
}

/** Those that a certificate may stand for: by its own hash and by that of its key; the certificate's first. */
export async function findFingerprints(
  tx: Tx,
  sha256: { certificate: string; key: string },
): Promise<DeviceIdentityRow[]> {
  return tx.rows<DeviceIdentityRow>(
    `select ${COLUMNS} from device_identities
     where anchors = '' and ((kind = 'certificate' and value = $1) or (kind = 'key' and value = $2)) order by kind`,
    [sha256.certificate, sha256.key],
  );
}

/** The newest first; a device has few. */
export async function listDeviceIdentities(tx: Tx, deviceId: string): Promise<DeviceIdentityRow[]> {
  return tx.rows<DeviceIdentityRow>(
    `select ${COLUMNS} from device_identities where device_id = $1 order by id desc limit 100`,
    [deviceId],
  );
}

/** The row goes, so that it can be registered anew; that this one counts no more, the log says. */
export async function deleteDeviceIdentity(tx: Tx, id: string): Promise<boolean> {
  return (await tx.run(`delete from device_identities where id = $1`, [id])) === 1;
}

/**
 * How many devices registered themselves under a set of trust anchors since then. Those who ask for the same set wait for
 * each other until their transactions end.
 */
export async function countSelfRegistered(tx: Tx, anchors: string, since: Date): Promise<number> {
  await tx.rows(`select pg_advisory_xact_lock(hashtextextended('self-registration ' || $1, 0))`, [anchors]);
  const [row] = await tx.rows<{ n: number }>(
    `select count(*)::int as n from device_identities where automatic and anchors = $1 and created_at > $2`,
    [anchors, since],
  );
  return row!.n;
}
