import { AuthorityError } from '#kernel';
import { REVOCATION_REASONS } from '#policy';
import { latestStatus, lockKey, setKeyStatus, type KeyRow, type KeyStatus } from '#store';
import { logStatus, receipt, statusChange, type Receipt } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { notFound } from './registry.js';

export const suspendKey = (a: AuthorityContext, actor: Actor, id: string): Promise<Receipt> =>
  changeKey(a, actor, id, 'key.suspended', (row) => ({
    from: ['active', 'retiring'],
    status: 'suspended',
    statusBefore: row.status,
    reason: null,
  }));

/** Back to the state before the suspension. */
export const resumeKey = (a: AuthorityContext, actor: Actor, id: string): Promise<Receipt> =>
  changeKey(a, actor, id, 'key.resumed', (row) => ({
    from: ['suspended'],
    status: row.statusBefore ?? 'active',
    statusBefore: null,
    reason: null,
  }));

/** Final. Revoking a revoked key again answers the same receipt, so that a retry is harmless. */
export function revokeKey(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  request: { reason: string },
): Promise<Receipt> {
  if (!(REVOCATION_REASONS as readonly string[]).includes(request.reason) || request.reason === 'certificateHold') {
    throw new AuthorityError('invalid', 'reason: one of the RFC 5280 names; to pause a key use suspend', {
      member: 'reason',
    });
  }
  return changeKey(a, actor, id, 'key.revoked', () => ({
    from: ['pending', 'active', 'retiring', 'suspended'],
    status: 'revoked',
    statusBefore: null,
    reason: request.reason,
  }));
}

/** What a key counts as now: the time ends it, whatever its status. */
export function effectiveStatus(
  row: Pick<KeyRow, 'status' | 'expiresAt' | 'endsAt'>,
  now: Date,
): KeyStatus | 'expired' {
  if (row.status === 'revoked') return 'revoked';
  return row.expiresAt <= now || (row.endsAt !== null && row.endsAt <= now) ? 'expired' : row.status;
}

/** As shown: the status log before the row, so that a column changed by hand shows nothing new. */
export function keyStatus(a: Pick<AuthorityContext, 'follower' | 'clock'>, row: KeyRow): KeyStatus | 'expired' {
  const entry = a.follower.index.key(row.id);
  if (!entry) return effectiveStatus({ ...row, status: 'pending' }, a.clock.now());
  return effectiveStatus(entry, a.clock.now());
}

interface KeyChange {
  from: readonly KeyStatus[];
  status: KeyStatus;
  statusBefore: KeyStatus | null;
  reason: string | null;
}

async function changeKey(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  action: 'key.suspended' | 'key.resumed' | 'key.revoked',
  decide: (row: KeyRow) => KeyChange,
): Promise<Receipt> {
  const result = await a.database.transaction(
    async (tx) => {
      const row = await lockKey(tx, id);
      if (!row) throw notFound('key');
      const change = decide(row);
      const at = a.clock.now();
      const now = effectiveStatus(row, at);
      if (now === change.status && action !== 'key.resumed') {
        const latest = await latestStatus(tx, 'key', id);
        if (latest?.status === change.status) return { seq: latest.seq, status: change.status, at: latest.at };
      }
      if (now === 'expired' || !change.from.includes(row.status)) {
        throw new AuthorityError('conflict', `the key is ${now}; this needs it to be ${change.from.join(' or ')}`);
      }
      await setKeyStatus(tx, id, change.from, { ...change, endsAt: row.endsAt });
      const seq = await logStatus(
        tx,
        a,
        actor,
        at,
        [
          {
            action,
            subject: `key:${id}`,
            ownerOrgId: row.ownerOrgId,
            issuerOrgId: row.issuerOrgId,
            detail: { from: row.status, to: change.status, reason: change.reason },
          },
        ],
        [
          statusChange({
            kind: 'key',
            subject: id,
            status: change.status,
            reason: change.reason,
            at,
            endsAt: row.endsAt,
          }),
        ],
      );
      return { seq, status: change.status, at };
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(result.seq);
  return receipt('key', id, result.status, result.seq, result.at);
}
