import { createHash } from 'node:crypto';
import { canonicalJson, type AuditAction, type CanonicalValue } from '#audit';
import { AuthorityError } from '#kernel';
import { policyDocumentMac } from '#status';
import { insertPolicyDocument, type PolicyDocumentKind, type StatusChange, type Tx } from '#store';
import { statusChange, type StatusAudit } from '../change-status.js';
import type { AuthorityContext } from '../context.js';
import type { Executed } from './operation.js';

interface Decided {
  kind: Exclude<PolicyDocumentKind, 'profile'>;
  name: string;
  version: number;
  document: CanonicalValue;
}

/** Throws `conflict` where the proposal was made from another version than the one that holds now. */
export function requireNext(a: AuthorityContext, { kind, name, version }: Omit<Decided, 'document'>): void {
  const held = a.follower.index.document(kind, name)?.version ?? 0;
  if (version === held + 1) return;
  throw new AuthorityError('conflict', `${kind} ${name} has changed since; propose it again`);
}

/** Stores the version and announces it by its SHA-256. */
export async function decideDocument(
  tx: Tx,
  a: AuthorityContext,
  { kind, name, version, document }: Decided,
  { approvalId, at, action }: { approvalId: string; at: Date; action: AuditAction },
): Promise<Executed> {
  const bytes = Buffer.from(canonicalJson(document));
  const row = { kind, name, version, document: bytes, approvalId };
  if (!(await insertPolicyDocument(tx, { ...row, mac: policyDocumentMac(a.macKey, row) }))) {
    throw new AuthorityError('conflict', `${kind} ${name} was changed just now; propose it again`);
  }
  const reason = createHash('sha256').update(bytes).digest('hex');
  return {
    audits: [documentAudit(a, { kind, name }, action, { version, sha256: reason })],
    changes: [statusChange({ kind, subject: name, status: `v${version}`, reason, at })],
    result: { name, version },
  };
}

/** What was decided ends; its versions stay, and a new one goes on from them. */
export function withdrawDocument(
  a: AuthorityContext,
  { kind, name }: Pick<Decided, 'kind' | 'name'>,
  { approvalId, at, action }: { approvalId: string; at: Date; action: AuditAction },
): Executed {
  const change: StatusChange = statusChange({ kind, subject: name, status: 'withdrawn', reason: null, at });
  return {
    audits: [documentAudit(a, { kind, name }, action, { approvalId })],
    changes: [change],
    result: { name, status: 'withdrawn' },
  };
}

const documentAudit = (
  a: AuthorityContext,
  { kind, name }: Pick<Decided, 'kind' | 'name'>,
  action: AuditAction,
  detail: Readonly<Record<string, string | number>>,
): StatusAudit => ({ action, subject: `${kind}:${name}`, ownerOrgId: null, issuerOrgId: a.authorityId, detail });
