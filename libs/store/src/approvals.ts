import type { Tx } from './database.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

/** What needs a second person: the closed list that the table knows too. */
export const OPERATION_NAMES = [
  'ca.create',
  'ca.activate',
  'ca.revoke',
  'ca.revokeLink',
  'ca.rollover',
  'ca.crossSign',
  'ca.import',
  'profile.change',
  'profile.withdraw',
  'group.revoke',
  'ra.revokeObtained',
  'device.reenroll',
  'role.grant',
  'person.invite',
  'blockedkey.revoke',
  'domain.grant',
  'domain.disable',
  'label.change',
  'label.withdraw',
  'anchors.change',
  'anchors.withdraw',
] as const;
export type OperationName = (typeof OPERATION_NAMES)[number];

export const APPROVAL_STATES = ['proposed', 'executed', 'rejected', 'withdrawn', 'expired'] as const;
export type ApprovalState = (typeof APPROVAL_STATES)[number];

/** Who decided, and how; written once. */
export interface Decision {
  state: Exclude<ApprovalState, 'proposed' | 'expired'>;
  decider: string;
  deciderPerson: string;
  decidedAt: Date;
  singleOperator: boolean;
  /** RFC 8785 JSON of what came of it, without secrets; only of an executed one. */
  result: Buffer | null;
}

/** A proposed operation. `proposal` holds all of it, under the row's MAC; the columns beside it are for finding. */
export interface NewApproval {
  id: string;
  organizationId: string;
  operation: OperationName;
  subject: string;
  proposal: Buffer;
  proposer: string;
  proposerPerson: string;
  proposedAt: Date;
  expiresAt: Date;
  mac: Buffer;
}

export interface ApprovalRow extends NewApproval {
  /** SHA-256 of `proposal`, computed by the database. */
  digest: Buffer;
  state: ApprovalState;
  decider: string | null;
  deciderPerson: string | null;
  decidedAt: Date | null;
  singleOperator: boolean;
  result: Buffer | null;
}

/** What of an approval is under its MAC, or follows from that. */
export type ApprovedRow = NewApproval & Pick<ApprovalRow, 'digest'>;

const COLUMNS = `id, organization_id as "organizationId", operation, subject, proposal, digest, proposer,
  proposer_person as "proposerPerson", proposed_at as "proposedAt", expires_at as "expiresAt", mac, state, decider,
  decider_person as "deciderPerson", decided_at as "decidedAt", single_operator as "singleOperator", result`;

export async function insertApproval(tx: Tx, row: NewApproval): Promise<void> {
  await tx.run(
    `insert into approvals (id, organization_id, operation, subject, proposal, proposer, proposer_person, proposed_at,
       expires_at, mac)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      row.id,
      row.organizationId,
      row.operation,
      row.subject,
      row.proposal,
      row.proposer,
      row.proposerPerson,
      row.proposedAt,
      row.expiresAt,
      row.mac,
    ],
  );
}

export async function findApproval(tx: Tx, id: string): Promise<ApprovalRow | undefined> {
  const [row] = await tx.rows<ApprovalRow>(`select ${COLUMNS} from approvals where id = $1`, [id]);
  return row;
}

/** Locks it until the transaction ends: of two that decide, the second sees what the first did. */
export async function lockApproval(tx: Tx, id: string): Promise<ApprovalRow | undefined> {
  const [row] = await tx.rows<ApprovalRow>(`select ${COLUMNS} from approvals where id = $1 for no key update`, [id]);
  return row;
}

/** Executed ones of an operation on this subject, the newest first. */
export async function findExecuted(tx: Tx, operation: OperationName, subject: string): Promise<ApprovedRow[]> {
  return tx.rows<ApprovedRow>(
    `select id, organization_id as "organizationId", operation, subject, proposal, digest, proposer,
       proposer_person as "proposerPerson", proposed_at as "proposedAt", expires_at as "expiresAt", mac
     from approvals where operation = $1 and subject = $2 and state = 'executed' order by id desc`,
    [operation, subject],
  );
}

export interface ApprovalFilter {
  state?: ApprovalState | undefined;
  operation?: OperationName | undefined;
}

/** Newest first. */
export async function listApprovals(tx: Tx, page: PageRequest, filter: ApprovalFilter): Promise<Page<ApprovalRow>> {
  const [before] = page.cursor === undefined ? [null] : decodeCursor(page.cursor, ['uuid']);
  const rows = await tx.rows<ApprovalRow>(
    `select ${COLUMNS} from approvals
     where ($1::uuid is null or id < $1) and ($2::text is null or state = $2) and ($3::text is null or operation = $3)
     order by id desc limit $4`,
    [before ?? null, filter.state ?? null, filter.operation ?? null, page.limit + 1],
  );
  return toPage(rows, page.limit, (row) => [row.id]);
}

/** Conditional: true when nobody had decided it before. */
export async function decideApproval(tx: Tx, id: string, decision: Decision): Promise<boolean> {
  const { state, decider, deciderPerson, decidedAt, singleOperator, result } = decision;
  return (
    (await tx.run(
      `update approvals set state = $2, decider = $3, decider_person = $4, decided_at = $5, single_operator = $6, result = $7
       where id = $1 and state = 'proposed'`,
      [id, state, decider, deciderPerson, decidedAt, singleOperator, result],
    )) === 1
  );
}

/** Marks as expired what nobody decided in time, at most `limit`; what another transaction decides just now is left to it. */
export async function expireApprovals(
  tx: Tx,
  at: Date,
  limit: number,
): Promise<Pick<ApprovalRow, 'id' | 'organizationId' | 'operation' | 'subject' | 'proposer'>[]> {
  return tx.rows(
    `update approvals set state = 'expired', decided_at = $1
     where id in (select id from approvals where state = 'proposed' and expires_at <= $1 order by expires_at limit $2
                  for no key update skip locked)
     returning id, organization_id as "organizationId", operation, subject, proposer`,
    [at, limit],
  );
}
