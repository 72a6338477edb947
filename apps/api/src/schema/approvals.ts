import { z } from 'zod';
import { isOurs, namesToIssue, pendingFacts, readProposal, type Approved, type AuthorityContext } from '#authority';
import {
  APPROVAL_STATES,
  OPERATION_NAMES,
  type ApprovalRow,
  type ApprovalState,
  type Device,
  type PendingEnrollmentRow,
  type PendingState,
} from '#store';
import { enrollmentSchema } from './devices.js';
import { hex, id, pageOf, pageQuery, time } from './values.js';

const state = z.enum(APPROVAL_STATES);
/** Asked for by a device, where its profile or label wants somebody to look at it; one person decides. */
export const ENROLLMENT = 'enrollment';
const operation = z.enum([...OPERATION_NAMES, ENROLLMENT]);

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
  proposerPerson: id.nullable().meta({ description: 'null: a device asks to enroll' }),
  proposedAt: time,
  expiresAt: time,
  state: state.meta({ description: 'expired also while nobody has marked it yet' }),
  decider: z.string().nullable(),
  deciderPerson: id.nullable(),
  decidedAt: time.nullable(),
  singleOperator: z.boolean(),
  result: z.record(z.string(), z.unknown()).nullable(),
  issues: z
    .strictObject({ subject: z.string(), names: z.array(z.string()), refusal: z.string().nullable() })
    .optional()
    .meta({
      description:
        'of an enrollment whose certificate would carry other names than it asks for: those, by the registry as it is now',
    }),
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

export const rejection = z
  .strictObject({ reason: z.string().trim().min(1).max(200).optional() })
  .optional()
  .meta({ id: 'Rejection', description: 'reason: of an enrollment; the device is told' });

/** What the states of an enrollment are called where they stand beside proposals. */
const SHOWN: Readonly<Record<PendingState, ApprovalState>> = {
  pending: 'proposed',
  approved: 'executed',
  done: 'executed',
  rejected: 'rejected',
  withdrawn: 'withdrawn',
  expired: 'expired',
};

/** The states that are shown as this one. */
export const pendingStates = (shown: ApprovalState | undefined): PendingState[] | null =>
  shown === undefined ? null : (Object.keys(SHOWN) as PendingState[]).filter((one) => SHOWN[one] === shown);

/** `device`: of the request, where it is there. */
export function pendingJson(
  a: AuthorityContext,
  row: PendingEnrollmentRow,
  device: Device | undefined,
): z.infer<typeof approvalSchema> {
  const issues = namesToIssue(a, row, device);
  const { facts, digest } = pendingFacts(row);
  const lapsed = row.state === 'pending' && row.expiresAt <= a.clock.now();
  const { reason, serial } = row;
  return {
    id: row.id,
    operation: ENROLLMENT,
    subject: `device:${row.deviceId}`,
    parameters: isOurs(a, row) ? facts : null,
    digest,
    organizationId: row.issuerOrgId,
    proposer: `device:${row.deviceId}`,
    proposerPerson: null,
    proposedAt: row.requestedAt.toISOString(),
    expiresAt: row.expiresAt.toISOString(),
    state: lapsed ? 'expired' : SHOWN[row.state],
    decider: row.decider,
    deciderPerson: row.deciderPerson,
    decidedAt: row.decidedAt?.toISOString() ?? null,
    singleOperator: false,
    result: reason === null && serial === null ? null : { reason, serial: serial?.toString('hex') ?? null },
    ...(issues && { issues: { ...issues, refusal: issues.refusal ?? null } }),
  };
}

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
