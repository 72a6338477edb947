import { approvePending } from '#authority';
import type { TestDatabase } from './database.js';
import { decidersOf } from './manufacturer.js';

/** What waits of this device is approved, as by a person who looked at it. */
export async function approveEnrollment(db: TestDatabase, deviceId: string): Promise<void> {
  const { approver } = await decidersOf(db);
  const [row] = await db.sql<{ id: string }>(
    `select id from pending_enrollments where device_id = $1 and state = 'pending'`,
    [deviceId],
  );
  if (!row) throw new Error(`nothing waits of ${deviceId}`);
  await approvePending(await db.context('api'), approver, row.id, {});
}
