import { derivationRoot, mintApiKey, sealToBox, sealVerifier, verifierHash, type Environment } from '#credential';
import { AuthorityError, isAuthorityError } from '#kernel';
import { decideKeyExpiry, decideRetirement, decideSuccessorExpiry, REVOCATION_REASONS, USABLE_KEYS } from '#policy';
import { keyRowMac, keySealContext } from '#status';
import {
  countUsableKeys,
  findOrganization,
  findRelease,
  findSuccessor,
  insertKey,
  isId,
  latestStatus,
  lockKey,
  setKeyStatus,
  type AudienceKind,
  type KeyRow,
  type KeyStatus,
  type Tx,
} from '#store';
import { logStatus, receipt, statusChange, type Receipt } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { auditRefusal } from './refusal.js';
import { notFound } from './registry.js';

export type Audience = 'all' | { providers: string[] } | { countries: string[] };

export interface IssuedKey {
  row: KeyRow;
  /** The key itself: shown once, stored nowhere. */
  key: string;
  seq: number;
}

/** A key of a release, usable at once. Throws `conflict` when the release has two usable keys in the environment already. */
export async function issueKey(
  a: AuthorityContext,
  actor: Actor,
  request: {
    releaseId: string;
    issuerId?: string | undefined;
    audience: Audience;
    environment: Environment;
    expiresAt?: Date | undefined;
  },
): Promise<IssuedKey> {
  const work = async (tx: Tx) => {
    const release = isId(request.releaseId) ? await findRelease(tx, request.releaseId) : undefined;
    if (!release) throw new AuthorityError('invalid', 'releaseId: no such release', { member: 'releaseId' });
    const issuerOrgId = await requireTester(tx, actor, request.issuerId);
    const now = a.clock.now();
    await requireRoom(tx, release.id, request.environment, now);
    const audience = await readAudience(tx, request.audience);
    return writeKey(tx, a, actor, 'key.issued', {
      releaseId: release.id,
      environment: request.environment,
      ...audience,
      predecessorId: null,
      expiresAt: decideKeyExpiry(now, request.expiresAt, a.lifetimes.apiKeyMax),
      ownerOrgId: release.ownerOrgId,
      issuerOrgId,
    });
  };
  const issued = await auditingRefusal(a, actor, 'key:new', () => a.database.transaction(work, scopeOf(a, actor)));
  await a.follower.catchUp(issued.seq);
  return issued;
}

/**
 * Issues the successor of a key; the key itself becomes `retiring` and ends after the overlap, or at its own end if that
 * comes first. A key has one successor: rotated a second time it answers `conflict`.
 */
export async function rotateKey(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  request: { overlapSeconds: number },
): Promise<IssuedKey & { predecessor: { id: string; endsAt: Date } }> {
  const work = async (tx: Tx) => {
    const old = await lockKey(tx, id);
    if (!old) throw notFound('key');
    const now = a.clock.now();
    if (old.status !== 'active' || old.expiresAt <= now) {
      throw new AuthorityError(
        'conflict',
        `only an active key can be rotated; this one is ${effectiveStatus(old, now)}`,
      );
    }
    if (await findSuccessor(tx, id)) throw new AuthorityError('conflict', 'the key has a successor already');
    const endsAt = decideRetirement(now, old.expiresAt, request.overlapSeconds);
    await setKeyStatus(tx, id, ['active'], { status: 'retiring', statusBefore: null, endsAt });
    await requireRoom(tx, old.releaseId, old.environment, now);
    const issued = await writeKey(
      tx,
      a,
      actor,
      'key.rotated',
      {
        releaseId: old.releaseId,
        environment: old.environment,
        audience: old.audience,
        audienceValues: old.audienceValues,
        predecessorId: old.id,
        expiresAt: decideSuccessorExpiry(now, old, a.lifetimes.apiKeyMax),
        ownerOrgId: old.ownerOrgId,
        issuerOrgId: old.issuerOrgId,
      },
      [statusChange({ kind: 'key', subject: old.id, status: 'retiring', at: now, endsAt })],
    );
    return { ...issued, predecessor: { id, endsAt } };
  };
  const result = await auditingRefusal(a, actor, `key:${id}`, () => a.database.transaction(work, scopeOf(a, actor)));
  await a.follower.catchUp(result.seq);
  return result;
}

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

type NewKey = Pick<
  KeyRow,
  | 'releaseId'
  | 'environment'
  | 'audience'
  | 'audienceValues'
  | 'predecessorId'
  | 'expiresAt'
  | 'ownerOrgId'
  | 'issuerOrgId'
>;

async function writeKey(
  tx: Tx,
  a: AuthorityContext,
  actor: Actor,
  action: 'key.issued' | 'key.rotated',
  facts: NewKey,
  before: Parameters<typeof logStatus>[5] = [],
): Promise<IssuedKey> {
  if (!a.rootsPublicKey) throw new AuthorityError('internal', `the ${a.plane} plane issues no keys`);
  const credential = mintApiKey(facts.environment);
  const row = { ...facts, id: credential.id };
  const context = keySealContext(row);
  const root = derivationRoot(credential.secret);
  const stored = {
    ...row,
    sealedVerifier: sealVerifier(a.pepper, verifierHash(credential), context),
    pepperVersion: a.pepper.version,
    sealedRoot: sealToBox(a.rootsPublicKey, root, context),
    mac: keyRowMac(a.macKey, row),
    status: 'active' as const,
  };
  root.fill(0);
  await insertKey(tx, stored);
  const at = a.clock.now();
  const audit = {
    action,
    subject: `key:${row.id}`,
    ownerOrgId: row.ownerOrgId,
    issuerOrgId: row.issuerOrgId,
    detail: {
      releaseId: row.releaseId,
      environment: row.environment,
      audience: row.audience,
      predecessorId: row.predecessorId,
      expiresAt: row.expiresAt.toISOString(),
    },
  };
  const activate = statusChange({ kind: 'key', subject: row.id, status: 'active', at });
  const seq = await logStatus(tx, a, actor, at, [audit], [...before, activate]);
  return { row: { ...stored, statusBefore: null, endsAt: null, createdAt: at }, key: credential.text, seq };
}

async function requireRoom(tx: Tx, releaseId: string, environment: string, at: Date): Promise<void> {
  if ((await countUsableKeys(tx, releaseId, environment, at)) >= USABLE_KEYS) {
    throw new AuthorityError(
      'conflict',
      `the release has ${USABLE_KEYS} usable ${environment} keys already; revoke one, or wait for the retiring one to end`,
    );
  }
}

/** Who vouches for the key: the caller's organization if it tests, or, for the authority, any one that does. */
async function requireTester(tx: Tx, actor: Actor, issuerId: string | undefined): Promise<string> {
  if (issuerId === undefined || issuerId === actor.organizationId) {
    const own = await findOrganization(tx, actor.organizationId);
    if (own?.kind === 'testing' || own?.kind === 'authority') return own.id;
    throw new AuthorityError('forbidden', 'keys are issued by testing organizations and by the authority');
  }
  const organization = actor.authority && isId(issuerId) ? await findOrganization(tx, issuerId) : undefined;
  if (organization?.kind !== 'testing') {
    throw new AuthorityError('invalid', 'issuerId: no such testing organization', { member: 'issuerId' });
  }
  return organization.id;
}

async function readAudience(tx: Tx, audience: Audience): Promise<{ audience: AudienceKind; audienceValues: string[] }> {
  if (audience === 'all') return { audience: 'all', audienceValues: [] };
  if ('countries' in audience)
    return { audience: 'countries', audienceValues: [...new Set(audience.countries)].sort() };
  const values = [...new Set(audience.providers)].sort();
  for (const id of values) {
    const provider = isId(id) ? await findOrganization(tx, id) : undefined;
    if (provider?.kind !== 'provider') {
      throw new AuthorityError('invalid', 'audience: no such provider', { member: 'audience.providers' });
    }
  }
  return { audience: 'providers', audienceValues: values };
}

/** A refused request for a key is a try to obtain something: it leaves an entry. Never hides the refusal itself. */
async function auditingRefusal<T>(
  a: AuthorityContext,
  actor: Actor,
  subject: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isAuthorityError(error) && error.kind !== 'unavailable') {
      await auditRefusal(a, actor, { action: 'key.issued', subject, error, detail: {} });
    }
    throw error;
  }
}
