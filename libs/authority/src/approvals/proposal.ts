import { createHash, timingSafeEqual } from 'node:crypto';
import { canonicalJson, type CanonicalValue } from '#audit';
import { approvalRowMac } from '#status';
import type { ApprovedRow, NewApproval } from '#store';
import type { AuthorityContext } from '../context.js';

type Facts = Omit<NewApproval, 'proposal' | 'mac'>;

/** A proposal whose row is as this authority wrote it. */
export interface Proposal extends Facts {
  parameters: CanonicalValue;
}

/** RFC 8785 JSON of everything that is proposed, by whom, until when: the bytes that are approved. */
export function encodeProposal({ parameters, ...facts }: Proposal): Buffer {
  return Buffer.from(
    canonicalJson({
      v: 1,
      id: facts.id,
      organizationId: facts.organizationId,
      operation: facts.operation,
      subject: facts.subject,
      parameters,
      proposer: facts.proposer,
      proposerPerson: facts.proposerPerson,
      proposedAt: facts.proposedAt.toISOString(),
      expiresAt: facts.expiresAt.toISOString(),
    }),
  );
}

export const digestOf = (proposal: Buffer): Buffer => createHash('sha256').update(proposal).digest();

/** undefined for a row that somebody without the key wrote or changed, or whose columns say something else than its proposal. */
export function readProposal(a: Pick<AuthorityContext, 'macKey'>, row: ApprovedRow): Proposal | undefined {
  const mac = approvalRowMac(a.macKey, row);
  if (row.mac.length !== mac.length || !timingSafeEqual(row.mac, mac)) return undefined;
  const { parameters } = JSON.parse(row.proposal.toString('utf8')) as Pick<Proposal, 'parameters'>;
  const { id, organizationId, operation, subject, proposer, proposerPerson, proposedAt, expiresAt } = row;
  const facts = { id, organizationId, operation, subject, proposer, proposerPerson, proposedAt, expiresAt };
  const proposal: Proposal = { ...facts, parameters };
  const unchanged = encodeProposal(proposal).equals(row.proposal) && digestOf(row.proposal).equals(row.digest);
  return unchanged ? proposal : undefined;
}
