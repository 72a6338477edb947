import { z } from 'zod';
import { readProposal, type Approved, type AuthorityContext } from '#authority';
import { APPROVAL_STATES, OPERATION_NAMES, type ApprovalRow } from '#store';
import { enrollmentSchema } from './devices.js';
import { hex, id, pageOf, pageQuery, time } from './values.js';

const state = z.enum(APPROVAL_STATES);
const operation = z.enum(OPERATION_NAMES);

const members = {
  id,
  operation,
  subject: z.string().meta({ description: '`<kind>:<id>` of what it is done to' }),
  parameters: z
    .record(z.string(), z.unknown())
    .nullable()
    .meta({ description: 'null: the row is not what was proposed, and will not be executed' }),
  digest: hex.meta({ description: 'SHA-256 of the proposal: what the approver approves' }),
  organizationId: id,
  proposer: z.string(),
  proposerPerson: id,
  proposedAt: time,
  expiresAt: time,
  state: state.meta({ description: 'expired also while nobody has marked it yet' }),
  decider: z.string().nullable(),
  deciderPerson: id.nullable(),
  decidedAt: time.nullable(),
  singleOperator: z.boolean(),
  result: z.record(z.string(), z.unknown()).nullable(),
};

export const approvalSchema = z.strictObject(members).meta({ id: 'Approval' });
export const approvalPage = pageOf(approvalSchema);
export const executedSchema = z
  .strictObject({
    ...members,
    enrollment: enrollmentSchema
      .optional()
      .meta({ description: 'of a device that may enroll again; only the first time' }),
    invitation: z
      .strictObject({ code: z.string(), expiresAt: time })
      .optional()
      .meta({ description: 'of a person who gets a new way in; only the first time' }),
  })
  .meta({ id: 'ExecutedApproval' });
export const approvalQuery = z.strictObject({ ...pageQuery, state: state.optional(), operation: operation.optional() });
export const approvalDecision = z
  .strictObject({
    digest: z
      .string()
      .regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hex digits')
      .optional()
      .meta({ description: 'of the proposal that was looked at; refused where it is another' }),
  })
  .optional()
  .meta({ id: 'ApprovalDecision' });

export function approvalJson(a: AuthorityContext, row: ApprovalRow): z.infer<typeof approvalSchema> {
  const lapsed = row.state === 'proposed' && row.expiresAt <= a.clock.now();
  return {
    id: row.id,
    operation: row.operation,
    subject: row.subject,
    parameters: jsonObject(readProposal(a, row)?.parameters),
    digest: row.digest.toString('hex'),
    organizationId: row.organizationId,
    proposer: row.proposer,
    proposerPerson: row.proposerPerson,
    proposedAt: row.proposedAt.toISOString(),
    expiresAt: row.expiresAt.toISOString(),
    state: lapsed ? 'expired' : row.state,
    decider: row.decider,
    deciderPerson: row.deciderPerson,
    decidedAt: row.decidedAt?.toISOString() ?? null,
    singleOperator: row.singleOperator,
    result: row.result === null ? null : jsonObject(JSON.parse(row.result.toString('utf8'))),
  };
}

export function executedJson(a: AuthorityContext, approved: Approved): z.infer<typeof executedSchema> {
  const { row, secretResult } = approved;
  return { ...approvalJson(a, row), ...secretResult };
}

function jsonObject(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null ? { ...value } : null;
}
