import { appendAudits, type AuditAction } from '#audit';
import { addSeconds } from '#kernel';
import { appendStatusChanges, type CertificateRow, type StatusChange, type StatusKind, type Tx } from '#store';
import type { Actor, AuthorityContext } from './context.js';
import type { Obtained } from './revoke-obtained.js';

/** What a change of status answers: from when on each checker sees it, at the latest. */
export interface Receipt {
  id: string;
  status: string;
  /** Row of the status log. */
  seq: number;
  /** Only the channels that carry this kind. */
  visibleBy: { introspection?: Date; ocsp?: Date; crl?: Date };
  /** Of certificates without revocation service (X28): whoever looks at them alone takes them until the last one ends. */
  certificate?: { published: false; endsAt: Date };
  /** Of a registration authority whose key is compromised: what it obtained for others and is not revoked with it. */
  obtained?: Obtained;
}

/** What the log takes at a time. A device may have more certificates than that and is still revoked as a whole. */
const BLOCK = 1000;

/** Seconds from the commit to each channel at the origin; HTTP caches and CDNs add their max-age. */
const BOUND = { index: 1, crl: 5 } as const;

/** What follows for the members of a group, or the certificates with a name, is work of its own, however many they are. */
const FOLLOWED: readonly StatusKind[] = ['group', 'domain', 'user'];

/** `certificates`: those whose status changed, or that a device has. */
export function receipt(
  kind: StatusKind,
  id: string,
  status: string,
  seq: number,
  at: Date,
  certificates: readonly Pick<CertificateRow, 'published' | 'notAfter'>[] = [],
): Receipt {
  const index = addSeconds(at, BOUND.index);
  if (kind === 'certificate' || kind === 'device') {
    const silent = certificates.filter(({ published }) => !published).map(({ notAfter }) => notAfter.getTime());
    const certificate = { published: false, endsAt: new Date(Math.max(...silent)) } as const;
    const told = silent.length === 0 || silent.length < certificates.length;
    const visibleBy = told ? { ocsp: index, crl: addSeconds(at, BOUND.crl) } : {};
    return { id, status, seq, visibleBy, ...(silent.length > 0 && { certificate }) };
  }
  return { id, status, seq, visibleBy: FOLLOWED.includes(kind) ? {} : { introspection: index } };
}

/** A row of the log with everything absent that its kind does not have. */
export function statusChange(
  change: Pick<StatusChange, 'kind' | 'subject' | 'status' | 'at'> & Partial<StatusChange>,
): StatusChange {
  return { reason: null, invalidityDate: null, endsAt: null, issuerId: null, shard: null, notAfter: null, ...change };
}

export interface StatusAudit {
  action: AuditAction;
  subject: string;
  ownerOrgId: string | null;
  issuerOrgId: string | null;
  detail?: Readonly<Record<string, string | number | null>>;
}

/**
 * The end of every transaction that changes a status: audit entries, then, last, the log (which writes the outbox too).
 * Returns the seq of the last row.
 */
export async function logStatus(
  tx: Tx,
  a: Pick<AuthorityContext, 'macKey'>,
  actor: Actor,
  at: Date,
  audits: readonly StatusAudit[],
  changes: readonly StatusChange[],
): Promise<number> {
  const entry = { at, actor: actor.id, requestId: actor.requestId, outcome: 'success' as const };
  await appendAudits(
    tx,
    audits.map((audit) => ({ ...audit, ...entry })),
  );
  let seq = 0;
  for (let start = 0; start < changes.length; start += BLOCK) {
    seq = await appendStatusChanges(tx, a.macKey, changes.slice(start, start + BLOCK));
  }
  return seq;
}
