import type { AuditAction } from '#audit';
import { AuthorityError } from '#kernel';
import {
  findDomain,
  findDomainClaims,
  hasLiveCertificates,
  holdDomain,
  isId,
  latestStatus,
  lockDomain,
  statusHistory,
  type DomainRow,
  type StatusChange,
  type Tx,
} from '#store';
import { logStatus, receipt, statusChange, type Receipt, type StatusAudit } from '../change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { auditingRefusal } from '../refusal.js';
import { notFound } from '../registry.js';
import { BY_DNS, checkDomain, domainStatus, requireFree } from './domain-standing.js';
import { readEveryClaim } from './every-claim.js';
import { challengeOf, findProof } from './find-proof.js';

/** Why a domain or user was disabled that only the authority enables again. */
export const BY_AUTHORITY = 'privilegeWithdrawn';

/** Looks for the proof in DNS; from then on names may rest on the domain. Throws `conflict` (`domainNotProved`) without it. */
export function verifyDomain(a: AuthorityContext, actor: Actor, id: string): Promise<Receipt> {
  return auditingRefusal(a, actor, 'domain.verified', `domain:${id}`, async () => {
    const row = await requireDomain(a, actor, id);
    const entry = a.follower.index.domain(id);
    if (entry?.status === 'disabled') {
      throw new AuthorityError('conflict', 'the domain is disabled; enable it', { code: 'domainDisabled' });
    }
    // What two people granted needs no record in DNS.
    if (entry?.status === 'verified' && entry.reason !== BY_DNS) {
      return receipt('domain', id, 'verified', entry.seq, entry.at);
    }
    await requireProof(a, row);
    return hold(a, actor, row, { action: 'domain.verified', from: ['proposed', 'verified', 'lapsed'], by: BY_DNS });
  });
}

/**
 * A disabled domain counts again, for what is issued from now on: by a proof in DNS, or by the grant that it had. What was
 * revoked stays so, and until all of it is, this is refused.
 */
export function enableDomain(a: AuthorityContext, actor: Actor, id: string): Promise<Receipt> {
  return auditingRefusal(a, actor, 'domain.enabled', `domain:${id}`, async () => {
    const row = await requireDomain(a, actor, id);
    const entry = a.follower.index.domain(id);
    if (entry?.status === 'verified') return receipt('domain', id, 'verified', entry.seq, entry.at);
    if (entry?.reason === BY_AUTHORITY && !actor.authority) {
      throw new AuthorityError('forbidden', 'the authority has disabled it, and alone enables it again');
    }
    const history = await a.database.transaction((tx) => statusHistory(tx, 'domain', id), scopeOf(a, actor));
    const by = history.findLast(({ status }) => status === 'verified')?.reason ?? BY_DNS;
    if (by === BY_DNS) await requireProof(a, row);
    return hold(a, actor, row, { action: 'domain.enabled', from: ['disabled'], by });
  });
}

/** The caller's own, as this authority wrote it. */
export async function requireDomain(a: AuthorityContext, actor: Actor, id: string): Promise<DomainRow> {
  const row = isId(id) ? await a.database.transaction((tx) => findDomain(tx, id), scopeOf(a, actor)) : undefined;
  if (!row) throw notFound('domain');
  checkDomain(a, row);
  return row;
}

async function requireProof(a: AuthorityContext, row: DomainRow): Promise<void> {
  if (await findProof(a, row)) return;
  const { name, value } = challengeOf(a, row);
  throw new AuthorityError('conflict', `DNS has no TXT record ${name} with the value ${value}`, {
    code: 'domainNotProved',
  });
}

async function hold(
  a: AuthorityContext,
  actor: Actor,
  row: DomainRow,
  change: { action: AuditAction; from: readonly string[]; by: string },
): Promise<Receipt> {
  await requireFree(a, row.name, row.organizationId);
  const before = await lapsedClaims(a, row);
  const result = await a.database.transaction(
    async (tx) => {
      if (!(await lockDomain(tx, row.id))) throw notFound('domain');
      const current = (await latestStatus(tx, 'domain', row.id))?.status ?? 'proposed';
      if (!change.from.includes(current)) throw new AuthorityError('conflict', `the domain is ${current}`);
      await requireRevoked(tx, row.id, a.clock.now());
      const at = a.clock.now();
      const held = await holdNow(tx, row, { by: change.by, at, before });
      const audit = domainAudit(row, actor, change.action, { by: change.by });
      return { at, seq: await logStatus(tx, a, actor, at, [audit], held) };
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(result.seq);
  return receipt('domain', row.id, 'verified', result.seq, result.at);
}

/** What is still good from before it was disabled must not become good for ever by being passed over. */
export async function requireRevoked(tx: Tx, holderId: string, at: Date): Promise<void> {
  const disabled = [await latestStatus(tx, 'domain', holderId), await latestStatus(tx, 'user', holderId)];
  if (!disabled.some((latest) => latest?.status === 'disabled')) return;
  if (!(await hasLiveCertificates(tx, holderId, at))) return;
  throw new AuthorityError('conflict', 'its certificates are being revoked; try again in a moment', {
    code: 'stillRevoking',
  });
}

/** Held from now on; claims that others let lapse end, and their certificates with them. */
export async function holdNow(
  tx: Tx,
  row: DomainRow,
  how: { by: string; at: Date; before: readonly DomainRow[] },
): Promise<StatusChange[]> {
  const { by: reason, at, before } = how;
  await holdDomain(tx, row.id, at);
  return [
    ...before.map(({ id }) =>
      statusChange({ kind: 'domain', subject: id, status: 'disabled', reason: 'superseded', at }),
    ),
    statusChange({ kind: 'domain', subject: row.id, status: 'verified', reason, at }),
  ];
}

/** Claims of others for the same name that once counted and do no more. */
export async function lapsedClaims(
  a: AuthorityContext,
  row: Pick<DomainRow, 'name' | 'organizationId'>,
): Promise<DomainRow[]> {
  const claims = await readEveryClaim(a, (tx) => findDomainClaims(tx, [row.name]));
  return claims.filter(
    ({ id, organizationId }) => organizationId !== row.organizationId && domainStatus(a, id) === 'lapsed',
  );
}

export const domainAudit = (
  row: DomainRow,
  actor: Actor,
  action: AuditAction,
  detail: Readonly<Record<string, string | number | null>>,
): StatusAudit => ({
  action,
  subject: `domain:${row.id}`,
  ownerOrgId: row.organizationId,
  issuerOrgId: actor.organizationId,
  detail: { name: row.name, ...detail },
});
