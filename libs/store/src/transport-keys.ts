import type { Tx } from './database.js';

/** A symmetric key of a device, sealed to est. */
export interface TransportKeyRow {
  deviceId: string;
  /** 1 to 64 octets, as the device calls it. */
  keyIdentifier: Buffer;
  bits: number;
  sealed: Buffer;
  /** Under secrets/status.mac; made and checked above this lib. */
  mac: Buffer;
  ownerOrgId: string;
  issuerOrgId: string;
  createdAt: Date;
}

const COLUMNS = `device_id as "deviceId", key_identifier as "keyIdentifier", bits, sealed, mac,
  owner_org_id as "ownerOrgId", issuer_org_id as "issuerOrgId", created_at as "createdAt"`;

/** In place of the one of the same identifier. */
export async function replaceTransportKey(tx: Tx, row: Omit<TransportKeyRow, 'createdAt'>): Promise<TransportKeyRow> {
  await deleteTransportKey(tx, row.deviceId, row.keyIdentifier);
  const [made] = await tx.rows<TransportKeyRow>(
    `insert into device_transport_keys (device_id, key_identifier, bits, sealed, mac, owner_org_id, issuer_org_id)
     values ($1, $2, $3, $4, $5, $6, $7) returning ${COLUMNS}`,
    [row.deviceId, row.keyIdentifier, row.bits, row.sealed, row.mac, row.ownerOrgId, row.issuerOrgId],
  );
  return made!;
}

/** False when there is none. */
export async function deleteTransportKey(tx: Tx, deviceId: string, keyIdentifier: Buffer): Promise<boolean> {
  const deleted = await tx.run(`delete from device_transport_keys where device_id = $1 and key_identifier = $2`, [
    deviceId,
    keyIdentifier,
  ]);
  return deleted === 1;
}

export async function findTransportKey(
  tx: Tx,
  deviceId: string,
  keyIdentifier: Buffer,
): Promise<TransportKeyRow | undefined> {
  const [row] = await tx.rows<TransportKeyRow>(
    `select ${COLUMNS} from device_transport_keys where device_id = $1 and key_identifier = $2`,
    [deviceId, keyIdentifier],
  );
  return row;
}

/** All of a device, the newest first; a device has few. */
export async function listTransportKeys(tx: Tx, deviceId: string): Promise<TransportKeyRow[]> {
  return tx.rows<TransportKeyRow>(
    `select ${COLUMNS} from device_transport_keys where device_id = $1 order by created_at desc, key_identifier`,
    [deviceId],
  );
}
