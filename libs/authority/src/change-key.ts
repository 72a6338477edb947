import { AuthorityError } from '#kernel';
import { REVOCATION_REASONS } from '#policy';
import { lockKey, setKeyStatus, statusHistory, type KeyRow, type KeyStatus, type Tx } from '#store';
import { logStatus, receipt, statusChange, type Receipt } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { notFound } from './registry.js';

export const suspendKey = (a: AuthorityContext, actor: Actor, id: string): Promise<Receipt> =>
  changeKey(a, actor, id, 'key.suspended', (standing) => ({
    from: ['active', 'retiring'],
    status: 'suspended',
    statusBefore: standing.status,
    reason: null,
  }));

/** Back to the state before the suspension. */
export const resumeKey = (a: AuthorityContext, actor: Actor, id: string): Promise<Receipt> =>
  changeKey(a, actor, id, 'key.resumed', (standing) => ({
    from: ['suspended'],
    status: standing.statusBefore ?? 'active',
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

/** What the log says of a key. */
export interface KeyStanding {
  status: KeyStatus;
  /** Before a suspension. */
  statusBefore: KeyStatus | undefined;
  endsAt: Date | null;
  /** Of the newest row; undefined for a key that was never activated. */
  newest: { seq: number; at: Date } | undefined;
}

/**
 * Where a key stands by the log alone: what its row says may have been written by anybody with SQL access, and a decision
 * that rested on it would be signed into the log. Call it with the row locked. What memory holds as revoked stays so.
 */
export async function readKeyStanding(tx: Tx, a: Pick<AuthorityContext, 'follower'>, id: string): Promise<KeyStanding> {
  const history = await statusHistory(tx, 'key', id);
  const newest = history.at(-1);
  const before = history.findLast((row) => row.status !== 'suspended');
  const revoked = a.follower.index.key(id)?.status === 'revoked';
  return {
    status: revoked ? 'revoked' : ((newest?.status as KeyStatus | undefined) ?? 'pending'),
    statusBefore: before?.status as KeyStatus | undefined,
    endsAt: newest?.endsAt ?? null,
    newest,
  };
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
  decide: (standing: KeyStanding) => KeyChange,
): Promise<Receipt> {
  const result = await a.database.transaction(
    async (tx) => {
      const row = await lockKey(tx, id);
      if (!row) throw notFound('key');
      const standing = await readKeyStanding(tx, a, id);
      const change = decide(standing);
      const at = a.clock.now();
      const now = effectiveStatus({ ...standing, expiresAt: row.expiresAt }, at);
      if (now === change.status && action !== 'key.resumed' && standing.newest) {
        return { seq: standing.newest.seq, status: change.status, at: standing.newest.at };
      }
      if (now === 'expired' || !change.from.includes(standing.status)) {
        throw new AuthorityError('conflict', `the key is ${now}; this needs it to be ${change.from.join(' or ')}`);
      }
      const { endsAt } = standing;
      await setKeyStatus(tx, id, [row.status], { ...change, endsAt });
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
            detail: { from: standing.status, to: change.status, reason: change.reason },
          },
        ],
        [
          statusChange({
            kind: 'key',
            subject: id,
            status: change.status,
            reason: change.reason,
            at,
            endsAt,
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
