import { DEVICE_COLUMNS, type Device } from './devices.js';
import type { Tx } from './database.js';

/** The next `limit` devices with a name that rests on this domain or user, in the order of their ids, locked as by `lockDevice`. */
export async function lockDevicesOfHolder(
  tx: Tx,
  holderId: string,
  after: string | undefined,
  limit: number,
): Promise<Device[]> {
  return tx.rows<Device>(
    `select ${DEVICE_COLUMNS} from devices
     where name_holders @> array[$1::uuid] and name_holders <> '{}' and ($2::uuid is null or id > $2) order by id limit $3
     for no key update`,
    [holderId, after ?? null, limit],
  );
}

export async function countDevicesOfHolder(tx: Tx, holderId: string): Promise<number> {
  const [row] = await tx.rows<{ count: number }>(
    `select count(*)::int as count from devices where name_holders @> array[$1::uuid] and name_holders <> '{}'`,
    [holderId],
  );
  return row!.count;
}

/** Whether a certificate that has not ended, of a device with such a name, is not revoked by the log. */
export async function hasLiveCertificates(tx: Tx, holderId: string, at: Date): Promise<boolean> {
  const [row] = await tx.rows<{ live: boolean }>(
    `select exists (
       select 1 from devices d join certificates c on c.device_id = d.id
       where d.name_holders @> array[$1::uuid] and d.name_holders <> '{}' and c.not_after > $2 and coalesce(
         (select status from status_changes where kind = 'certificate' and subject = encode(c.serial, 'hex')
          order by seq desc limit 1), '') <> 'revoked') as live`,
    [holderId, at],
  );
  return row!.live;
}
