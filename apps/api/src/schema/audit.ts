import { z } from 'zod';
import type { AuditRow } from '#store';
import { pageOf, pageQuery, text, time } from './values.js';

const outcome = z.enum(['success', 'refused', 'failed']);

export const auditEventSchema = z
  .strictObject({
    id: z.string(),
    at: time,
    actor: z.string(),
    action: z.string(),
    subject: z.string(),
    outcome,
    requestId: z.string(),
    detail: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'AuditEvent' });
export const auditPage = pageOf(auditEventSchema);
export const auditQuery = z.strictObject({
  ...pageQuery,
  action: text(100).optional(),
  subject: text(200).optional(),
  actor: text(200).optional(),
  outcome: outcome.optional(),
});

const recorded = z.object({ detail: z.record(z.string(), z.unknown()) });

/** Everything is told from the entry's own bytes and columns; the entry never holds a secret. */
export function auditEventJson(row: AuditRow): z.infer<typeof auditEventSchema> {
  const { detail } = recorded.parse(JSON.parse(row.canonical.toString('utf8')));
  return {
    id: row.id,
    at: row.at.toISOString(),
    actor: row.actor,
    action: row.action,
    subject: row.subject,
    outcome: row.outcome,
    requestId: row.requestId,
    detail,
  };
}
