import { DEVICE_COLUMNS, type Device } from './devices.js';
import type { Tx } from './database.js';

/** The next `limit` devices of a group in the order of their ids, each locked as by `lockDevice`. */
export async function lockGroupMembers(
  tx: Tx,
  groupId: string,
  after: string | undefined,
  limit: number,
): Promise<Device[]> {
  return tx.rows<Device>(
    `select ${DEVICE_COLUMNS} from devices where group_id = $1 and ($2::uuid is null or id > $2) order by id limit $3
     for no key update`,
    [groupId, after ?? null, limit],
  );
}

/** For good: the devices, and their free secrets as `withdrawEnrollmentSecrets` does. */
export async function markDevicesRevoked(tx: Tx, ids: readonly string[]): Promise<void> {
  await tx.run(`update devices set status = 'revoked' where id = any($1::uuid[]) and status <> 'revoked'`, [ids]);
  await tx.run(
    `update enrollment_secrets set state = 'withdrawn' where device_id = any($1::uuid[]) and state = 'free'`,
    [ids],
  );
}

export async function countGroupMembers(tx: Tx, groupId: string): Promise<number> {
  const [row] = await tx.rows<{ count: number }>(`select count(*)::int as count from devices where group_id = $1`, [
    groupId,
  ]);
  return row!.count;
}
