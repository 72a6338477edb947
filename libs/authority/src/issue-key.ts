import { derivationRoot, mintApiKey, sealToBox, sealVerifier, verifierHash, type Environment } from '#credential';
import { AuthorityError } from '#kernel';
import { decideKeyExpiry, decideRetirement, decideSuccessorExpiry, USABLE_KEYS } from '#policy';
import { keyRowMac, keySealContext } from '#status';
import {
  countUsableKeys,
  findOrganization,
  findRelease,
  findSuccessor,
  insertKey,
  isId,
  lockKey,
  setKeyStatus,
  type AudienceKind,
  type KeyRow,
  type Tx,
} from '#store';
import { logStatus, statusChange } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { auditingRefusal } from './refusal.js';
import { effectiveStatus, readKeyStanding } from './change-key.js';
import { notFound } from './registry.js';

export type Audience = 'all' | { providers: string[] } | { countries: string[] };

export interface IssuedKey {
  row: KeyRow;
  /** The key itself: shown once, stored nowhere. */
  key: string;
  seq: number;
}

/**
 * A key of a release, usable at once. Throws `conflict` when the release has two usable keys in the environment already,
 * `limited` when the vendor's issuance of this minute is used up.
 */
export async function issueKey(
  a: AuthorityContext,
  actor: Actor,
  request: {
    releaseId: string;
    issuerId?: string | undefined;
    audience: Audience;
    environment: Environment;
    /** Whether devices of the app may enroll by it. Its successor may what it may. */
    enroll?: boolean | undefined;
    expiresAt?: Date | undefined;
  },
): Promise<IssuedKey> {
  const work = async (tx: Tx) => {
    const release = isId(request.releaseId) ? await findRelease(tx, request.releaseId) : undefined;
    if (!release) throw new AuthorityError('invalid', 'releaseId: no such release', { member: 'releaseId' });
    const { enroll = false, environment } = request;
    if (enroll && environment !== 'live') {
      throw new AuthorityError('invalid', 'enroll: only a live key enrolls: certificates count everywhere', {
        member: 'enroll',
      });
    }
    const issuerOrgId = await requireTester(tx, actor, request.issuerId);
    const now = a.clock.now();
    await requireRoom(tx, release.id, request.environment, now);
    const audience = await readAudience(tx, request.audience);
    await a.quotas.take('issuance', release.ownerOrgId, actor);
    return writeKey(tx, a, actor, 'key.issued', {
      releaseId: release.id,
      environment,
      enroll,
      ...audience,
      predecessorId: null,
      expiresAt: decideKeyExpiry(now, request.expiresAt, a.lifetimes.apiKeyMax),
      ownerOrgId: release.ownerOrgId,
      issuerOrgId,
    });
  };
  const issued = await auditingRefusal(a, actor, 'key.issued', 'key:new', () =>
    a.database.transaction(work, scopeOf(a, actor)),
  );
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
    const standing = await readKeyStanding(tx, a, id);
    if (standing.status !== 'active' || old.expiresAt <= now) {
      const status = effectiveStatus({ ...standing, expiresAt: old.expiresAt }, now);
      throw new AuthorityError('conflict', `only an active key can be rotated; this one is ${status}`);
    }
    if (await findSuccessor(tx, id)) throw new AuthorityError('conflict', 'the key has a successor already');
    const endsAt = decideRetirement(now, old.expiresAt, request.overlapSeconds);
    await setKeyStatus(tx, id, [old.status], { status: 'retiring', statusBefore: null, endsAt });
    await requireRoom(tx, old.releaseId, old.environment, now);
    await a.quotas.take('issuance', old.ownerOrgId, actor);
    const issued = await writeKey(
      tx,
      a,
      actor,
      'key.rotated',
      {
        releaseId: old.releaseId,
        environment: old.environment,
        enroll: old.enroll,
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
  const result = await auditingRefusal(a, actor, 'key.issued', `key:${id}`, () =>
    a.database.transaction(work, scopeOf(a, actor)),
  );
  await a.follower.catchUp(result.seq);
  return result;
}

type NewKey = Pick<
  KeyRow,
  | 'releaseId'
  | 'environment'
  | 'enroll'
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
      ...(row.enroll && { enroll: 'true' }),
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
