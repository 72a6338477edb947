import { appendAudit, type AuditAction, type AuditEntry } from '#audit';
import type { TestDatabase } from '../harness/database.js';

/** Writes an audit entry as the worker plane does. */
export async function plantEvent(
  db: TestDatabase,
  action: AuditAction,
  rest: Partial<AuditEntry> & { ownerOrgId?: string | null } = {},
): Promise<void> {
  const worker = await db.as('worker');
  await worker.transaction((tx) =>
    appendAudit(tx, {
      at: db.clock.now(),
      actor: 'system:test',
      action,
      subject: 'key:01tSaqXyBDHyM6',
      outcome: 'success',
      requestId: 'test',
      issuerOrgId: db.authorityId,
      ...rest,
    }),
  );
}

/** Gives every entry that has none a leaf of the tree, in the order of the ids; the hashes are not those of a tree. */
export async function sealAll(db: TestDatabase): Promise<void> {
  await db.sql(
    `insert into audit_leaves (leaf_index, event_id, hash)
     select (select count(*) from audit_leaves) + row_number() over (order by a.id) - 1, a.id, sha256(a.canonical)
     from audit a where not exists (select 1 from audit_leaves l where l.event_id = a.id)`,
  );
}

/** What the event is told as to whoever listens already is of no interest: the cursor goes to the end. */
export async function skipEvents(db: TestDatabase): Promise<void> {
  await sealAll(db);
  await db.sql(`update notice_cursor set leaf_index = (select count(*) from audit_leaves)`);
}
