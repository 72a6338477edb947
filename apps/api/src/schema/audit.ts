import { z } from 'zod';
import type { AuditRow } from '#store';
import { hex, instant, pageOf, pageQuery, text, time } from './values.js';

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
  from: instant.optional().meta({ description: 'not before' }),
  to: instant.optional().meta({ description: 'before' }),
});

const treeSize = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
export const checkpointQuery = z.strictObject({
  size: treeSize.optional().meta({ description: 'of so many leaves; default: the newest' }),
});
export const exportQuery = checkpointQuery;

/** Either that an event is in the tree, or that a tree continues an earlier one. */
export const proofQuery = z
  .strictObject({
    event: z
      .string()
      .regex(/^[1-9]\d{0,17}$/, 'must be the id of an event')
      .optional(),
    from: treeSize.optional(),
    to: treeSize.optional(),
  })
  .refine(
    ({ event, from, to }) =>
      event === undefined ? from !== undefined && to !== undefined : from === undefined && to === undefined,
    'give either event, or from and to',
  );

/** RFC 6962 sections 2.1.1 and 2.1.2; hashes in hex. */
export const proofSchema = z
  .union([
    z.strictObject({
      leafIndex: z.int(),
      treeSize: z.int(),
      leafHash: hex,
      hashes: z.array(hex).meta({ description: 'from the leaf upwards' }),
      entry: z.string().meta({ description: 'what the leaf is the hash of, as the table tells it now' }),
      checkpoint: z.string().meta({ description: 'signed note' }),
    }),
    z.strictObject({ from: z.int(), to: z.int(), hashes: z.array(hex) }),
  ])
  .meta({ id: 'AuditProof' });

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
