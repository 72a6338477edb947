import { addSeconds, AuthorityError } from '#kernel';
import { decideRetirement, decideSuccessorExpiry } from '#policy';
import { findSuccessorToken, latestStatus, lockOperatorToken, type ListedToken, type Tx } from '#store';
import { logStatus, statusChange } from '../change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { writeToken } from '../operator-access.js';
import { canSignIn } from '../people/sign-in-means.js';
import { auditingRefusal } from '../refusal.js';
import { notFound } from '../registry.js';
import {
  readBack,
  requireAnswerable,
  requireHuman,
  requireOwnRoles,
  type IssuedToken,
  type TokenMaker,
} from './issue-token.js';
import { isUsable } from './usable.js';

/** What a token counts as now: the time ends it, whatever its status. */
export type ShownTokenStatus = 'active' | 'retiring' | 'revoked' | 'expired';

/** undefined: the log does not know it, so that it is no token of ours. */
export function tokenStatus(a: Pick<AuthorityContext, 'follower' | 'clock'>, id: string): ShownTokenStatus | undefined {
  const entry = a.follower.index.token(id);
  if (entry === undefined) return undefined;
  if (entry.status === 'revoked') return 'revoked';
  if (!isUsable(entry, a.clock.now())) return 'expired';
  return entry.status === 'retiring' ? 'retiring' : 'active';
}

/**
 * Issues the successor of a token, with its name, roles and length of life; the token itself goes on for the overlap, or
 * to its own end if that comes first. It has one successor: rotated a second time it answers `conflict`.
 */
export async function rotateToken(
  a: AuthorityContext,
  actor: Actor,
  caller: TokenMaker,
  id: string,
  request: { overlapSeconds: number },
): Promise<IssuedToken> {
  const work = async (tx: Tx) => {
    requireHuman(caller);
    const old = asChecked(a, await requireMine(tx, actor, caller, id));
    if (old.kind !== 'machine' && old.personId !== actor.personId) {
      throw new AuthorityError('forbidden', 'only its person rotates a personal token');
    }
    if (old.kind === 'bootstrap' || old.kind === 'session') {
      throw new AuthorityError('conflict', `a ${old.kind} token is not rotated; revoke it`);
    }
    // The log itself: another process may have ended it a moment ago.
    const newest = await latestStatus(tx, 'token', id);
    const status = newest?.status === 'active' ? tokenStatus(a, id) : newest?.status;
    if (status !== 'active')
      throw new AuthorityError('conflict', `only an active token can be rotated; this one is ${status}`);
    if (await findSuccessorToken(tx, id)) throw new AuthorityError('conflict', 'the token has a successor already');
    // Whoever rotates sees the new text: it must not give him more than he has.
    await requireOwnRoles(tx, actor, caller, old);
    const now = a.clock.now();
    const most = addSeconds(now, a.settings.access.tokenMax);
    const { organizationId, name, kind, personId, roles, createdAt, expiresAt } = old;
    const endsAt = decideRetirement(now, expiresAt ?? most, request.overlapSeconds);
    const retiring = statusChange({ kind: 'token', subject: id, status: 'retiring', at: now, endsAt });
    const made = await writeToken(
      tx,
      a,
      actor,
      {
        ...{ organizationId, name, kind, personId, roles, predecessorId: id },
        createdBy: personId === null ? requireAnswerable(actor) : null,
        expiresAt:
          expiresAt === null ? most : decideSuccessorExpiry(now, { createdAt, expiresAt }, a.settings.access.tokenMax),
      },
      { action: 'token.rotated', changes: [retiring] },
    );
    return { ...made, row: await readBack(tx, made.id) };
  };
  const made = await auditingRefusal(a, actor, 'token.rotated', `token:${id}`, () =>
    a.database.transaction(work, scopeOf(a, actor)),
  );
  await a.follower.catchUp(made.seq);
  return { row: made.row, token: made.text };
}

/** Final and at once. Revoking it again answers the same. */
export async function revokeToken(
  a: AuthorityContext,
  actor: Actor,
  caller: TokenMaker,
  id: string,
): Promise<{ id: string; status: 'revoked'; seq: number }> {
  const work = async (tx: Tx) => {
    const row = await requireMine(tx, actor, caller, id);
    const newest = await latestStatus(tx, 'token', id);
    if (newest?.status === 'revoked') return newest.seq;
    if (row.kind === 'bootstrap') await requireOtherAdmin(tx, a);
    return writeRevocation(tx, a, actor, row);
  };
  const seq = await auditingRefusal(a, actor, 'token.revoked', `token:${id}`, () =>
    a.database.transaction(work, scopeOf(a, actor)),
  );
  await a.follower.catchUp(seq);
  return { id, status: 'revoked', seq };
}

/** Ends the session that asks. `conflict` (code `notASession`) for a token of another kind, which is revoked by its id. */
export async function signOut(
  a: AuthorityContext,
  actor: Actor,
  session: { tokenId: string; kind: string },
): Promise<void> {
  if (session.kind !== 'session') {
    throw new AuthorityError('conflict', 'this token is not a session; revoke it by its id', { code: 'notASession' });
  }
  const seq = await a.database.transaction(
    (tx) => {
      const at = a.clock.now();
      const { organizationId } = actor;
      const audit = {
        action: 'person.signedOut' as const,
        ...{ subject: `token:${session.tokenId}`, ownerOrgId: organizationId, issuerOrgId: organizationId },
      };
      const change = statusChange({ kind: 'token', subject: session.tokenId, status: 'revoked', at });
      return logStatus(tx, a, actor, at, [audit], [change]);
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(seq);
}

/**
 * As it was when the row's MAC was checked: what was written into the row since then must not become a token under a MAC of
 * its own. Throws `conflict` for a row that the log does not know.
 */
function asChecked(a: AuthorityContext, row: ListedToken): ListedToken {
  const known = a.follower.index.token(row.id);
  if (known === undefined) throw new AuthorityError('conflict', 'the token is none of this authority');
  const { organizationId, name, kind, personId, createdBy, roles, expiresAt } = known;
  return { ...row, organizationId, name, kind, personId, createdBy, roles: [...roles], expiresAt };
}

/** One's own, or any that the caller sees and may manage. What he may not even see answers like an absent one. */
async function requireMine(tx: Tx, actor: Actor, caller: TokenMaker, id: string): Promise<ListedToken> {
  const row = await lockOperatorToken(tx, id);
  if (!row) throw notFound('token');
  // A program is not the person who made its token.
  const own = row.personId !== null && actor.id === `person:${row.personId}`;
  if (own || caller.permissions.has('token:manage')) return row;
  if (!caller.permissions.has('token:read')) throw notFound('token');
  throw new AuthorityError('forbidden', 'this needs the permission token:manage');
}

function writeRevocation(tx: Tx, a: AuthorityContext, actor: Actor, row: ListedToken): Promise<number> {
  const at = a.clock.now();
  const audit = {
    action: 'token.revoked' as const,
    subject: `token:${row.id}`,
    ownerOrgId: row.organizationId,
    issuerOrgId: actor.organizationId,
    detail: { name: row.name, kind: row.kind },
  };
  return logStatus(
    tx,
    a,
    actor,
    at,
    [audit],
    [statusChange({ kind: 'token', subject: row.id, status: 'revoked', at })],
  );
}

/** Without the token of the first start somebody must still be able to come in and administer the authority. */
async function requireOtherAdmin(tx: Tx, a: AuthorityContext): Promise<void> {
  for (const person of a.follower.index.people()) {
    const admin = person.organizationId === a.authorityId && person.status === 'active' && person.roles.has('admin');
    if (admin && (await canSignIn(tx, a, person.id))) return;
  }
  throw new AuthorityError(
    'conflict',
    'nobody else could administer the authority: give a person the role admin and let that person sign in first',
    { code: 'lastAccess' },
  );
}
