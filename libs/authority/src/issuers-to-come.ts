import { readPublicKey } from '#pki';
import { REQUESTED } from '#status';
import {
  latestStatus,
  listApprovals,
  listIssuers,
  type ApprovalRow,
  type IssuerKind,
  type IssuerRow,
  type OperationName,
  type Tx,
} from '#store';
import { readProposal, type Proposal } from './approvals/proposal.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { findOwnIntents, requesterOf } from './prepare-ca.js';
import { isAsRequested } from './requested-ca.js';

/**
 * `proposed`: nobody has approved it. `requested`: its key is here, its certificate is made elsewhere. `importing`: that
 * certificate was brought and nobody has approved it. `certifying`: approved, the worker has it certified within a minute.
 */
export const COMING_STATES = ['proposed', 'requested', 'importing', 'certifying'] as const;

/** A CA that is wanted and not there yet. */
export interface IssuerToCome {
  id: string;
  name: string;
  kind: IssuerKind;
  state: (typeof COMING_STATES)[number];
  /** null while there is no key. */
  keyType: string | null;
  /** Its certificate is made elsewhere. */
  external: boolean;
  /** What somebody has to approve first; null: nobody has to. */
  approval: { id: string; expiresAt: Date } | null;
}

/** More than an organization may have open at a time. */
const MOST = 200;

/** What a proposal says of the CA that it is about. */
interface Wish {
  issuerId: string;
  predecessorId?: string;
  name?: string;
  kind?: IssuerKind;
  external?: boolean;
}

/** Of what the actor sees: those proposed, the newest first, then those without a certificate. Rows that nobody here wrote are none. */
export async function issuersToCome(a: AuthorityContext, actor: Actor): Promise<IssuerToCome[]> {
  const known = await a.issuers.list();
  const { proposals, rows } = await a.database.transaction(
    async (tx) => ({
      proposals: await openProposals(tx, a, ['ca.create', 'ca.rollover', 'ca.import']),
      rows: await withoutCertificate(tx),
    }),
    scopeOf(a, actor),
  );
  const coming: IssuerToCome[] = [];
  for (const proposal of proposals) {
    const { issuerId: id, predecessorId, name, kind, external } = wishOf(proposal);
    if (proposal.operation === 'ca.import') continue;
    // Of a rollover the name and the kind are those of the CA that it follows.
    const like = known.find((one) => one.id === predecessorId);
    const [itsName, itsKind] = [name ?? like?.name, kind ?? like?.kind];
    if (itsName === undefined || itsKind === undefined) continue;
    const approval = approvalOf(proposal);
    coming.push({
      id,
      name: itsName,
      kind: itsKind,
      state: 'proposed',
      keyType: null,
      external: external === true,
      approval,
    });
  }
  for (const { row, requested } of rows) {
    const brought = proposals.find((one) => one.operation === 'ca.import' && wishOf(one).issuerId === row.id);
    if (!requested && !(await isBegun(a, actor, row))) continue;
    coming.push({
      ...{ id: row.id, name: row.name, kind: row.kind, keyType: readPublicKey(row.spki).keyType, external: requested },
      state: requested ? (brought ? 'importing' : 'requested') : 'certifying',
      approval: brought ? approvalOf(brought) : null,
    });
  }
  return coming;
}

async function openProposals(tx: Tx, a: AuthorityContext, operations: readonly OperationName[]): Promise<Proposal[]> {
  const open: ApprovalRow[] = [];
  for (const operation of operations) {
    open.push(...(await listApprovals(tx, { limit: MOST }, { state: 'proposed', operation })).items);
  }
  return open.flatMap((row) => (row.expiresAt > a.clock.now() ? (readProposal(a, row) ?? []) : []));
}

/** Those that the log tells of as they are, and those of which it says nothing yet. */
async function withoutCertificate(tx: Tx): Promise<{ row: IssuerRow; requested: boolean }[]> {
  const open: { row: IssuerRow; requested: boolean }[] = [];
  for (const row of await listIssuers(tx)) {
    if (row.certificate !== null) continue;
    const log = await latestStatus(tx, 'issuer', row.id);
    if (log === undefined) open.push({ row, requested: false });
    else if (log.status === REQUESTED && isAsRequested(row, log.reason)) open.push({ row, requested: true });
  }
  return open;
}

async function isBegun(a: AuthorityContext, actor: Actor, row: IssuerRow): Promise<boolean> {
  const intents = await findOwnIntents(a, actor, row);
  return intents.some(({ requester }) => requester === requesterOf(row));
}

const wishOf = ({ parameters }: Proposal): Wish => parameters as unknown as Wish;
const approvalOf = ({ id, expiresAt }: Proposal) => ({ id, expiresAt });
