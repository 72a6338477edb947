import { appendAudit } from '#audit';
import { mintOperatorToken, parseCredential, sealVerifier, verifierHash, verifierMatches } from '#credential';
import { AuthorityError } from '#kernel';
import { tokenRowMac, tokenSealContext } from '#status';
import {
  findAuthority,
  findOrganization,
  insertOperatorToken,
  insertOrganization,
  newId,
  type Organization,
  type Tx,
} from '#store';
import { logStatus, statusChange } from './change-status.js';
import { scopeOf, systemActor, type Actor, type AuthorityContext } from './context.js';

/** An authenticated operator and the organization it acts for. */
export interface Caller {
  actor: Omit<Actor, 'requestId'>;
  organization: Pick<Organization, 'id' | 'kind' | 'country'>;
}

const REFUSAL = 'the bearer token is missing, wrong or no longer valid';
const callers = new WeakMap<AuthorityContext, Map<string, Caller>>();

/**
 * Bearer token to caller, in memory: parse, look up, one SHA-256, constant-time compare. Throws `unauthenticated` with one
 * text for every reason, `limited` after too many failures. Failures are audited.
 */
export async function authenticateOperator(
  a: AuthorityContext,
  token: string | undefined,
  at: { address: string; requestId: string },
): Promise<Caller> {
  a.failedAttempts.check(at.address);
  const caller = checkToken(a, token);
  if (typeof caller === 'object') return caller;
  if (caller !== undefined) return loadCaller(a, caller);
  a.failedAttempts.record(at.address);
  await auditFailedAuthentication(a, at, 'operator');
  throw new AuthorityError('unauthenticated', REFUSAL);
}

/** A caller already known, the id of a token whose organization is not loaded yet, or undefined. */
function checkToken(a: AuthorityContext, token: string | undefined): Caller | string | undefined {
  const credential = token === undefined ? undefined : parseCredential(token);
  if (credential?.kind !== 'operatorToken') return undefined;
  const entry = a.follower.index.token(credential.id);
  const matches = verifierMatches(entry?.verifier, verifierHash(credential));
  if (!matches || entry?.status !== 'active') return undefined;
  if (entry.expiresAt !== null && entry.expiresAt <= a.clock.now()) return undefined;
  return callers.get(a)?.get(entry.id) ?? entry.id;
}

async function loadCaller(a: AuthorityContext, tokenId: string): Promise<Caller> {
  const entry = a.follower.index.token(tokenId);
  if (!entry) throw new AuthorityError('unauthenticated', REFUSAL);
  const authority = entry.organizationId === a.authorityId;
  const actor = { id: `operator:${tokenId}`, organizationId: entry.organizationId, authority };
  const organization = await a.database.transaction(
    (tx) => findOrganization(tx, entry.organizationId),
    scopeOf(a, { ...actor, requestId: '' }),
  );
  if (!organization) throw new AuthorityError('unauthenticated', REFUSAL);
  const caller: Caller = { actor, organization };
  const known = callers.get(a) ?? new Map<string, Caller>();
  callers.set(a, known.set(tokenId, caller));
  return caller;
}

/** One row per failed try, of whatever plane. Never throws: an attacker must not learn that the database is down. */
export async function auditFailedAuthentication(
  a: AuthorityContext,
  at: { address: string; requestId: string },
  what: string,
): Promise<void> {
  const actor: Actor = { ...systemActor(a, at.requestId), id: `anonymous:${at.address}` };
  await a.independent
    .transaction(
      (tx) =>
        appendAudit(tx, {
          at: a.clock.now(),
          actor: actor.id,
          action: 'authentication.failed',
          subject: `plane:${a.plane}`,
          outcome: 'refused',
          requestId: at.requestId,
          detail: { what },
          issuerOrgId: a.authorityId,
        }),
      scopeOf(a, actor),
    )
    .catch((error: unknown) => a.log.error({ err: error }, 'a failed authentication could not be audited'));
}

/** The organization of the authority itself, made once. Returns its id. */
export async function ensureAuthority(a: Pick<AuthorityContext, 'database' | 'clock'>): Promise<string> {
  return a.database.transaction(async (tx) => {
    const present = await findAuthority(tx);
    if (present) return present.id;
    const made = await insertOrganization(tx, {
      id: newId(a.clock),
      kind: 'authority',
      name: 'Touchmark',
      country: null,
    });
    await appendAudit(tx, {
      at: a.clock.now(),
      actor: 'system:init',
      action: 'instance.created',
      subject: `organization:${made.id}`,
      outcome: 'success',
      requestId: 'init',
      issuerOrgId: made.id,
    });
    return made.id;
  });
}

/** Issues an operator token for an organization. The text is returned once and stored nowhere. */
export async function issueOperatorToken(
  a: Pick<AuthorityContext, 'database' | 'clock' | 'macKey' | 'pepper' | 'plane' | 'authorityId'>,
  organizationId: string,
  name: string,
): Promise<{ id: string; text: string }> {
  const token = mintOperatorToken();
  const facts = { id: token.id, organizationId, name, expiresAt: null };
  await a.database.transaction(async (tx: Tx) => {
    await insertOperatorToken(tx, {
      ...facts,
      sealedVerifier: sealVerifier(a.pepper, verifierHash(token), tokenSealContext(facts)),
      pepperVersion: a.pepper.version,
      mac: tokenRowMac(a.macKey, facts),
    });
    const at = a.clock.now();
    await logStatus(
      tx,
      a,
      systemActor(a, 'init'),
      at,
      [
        {
          action: 'token.issued',
          subject: `token:${token.id}`,
          ownerOrgId: organizationId,
          issuerOrgId: a.authorityId,
          detail: { name },
        },
      ],
      [statusChange({ kind: 'token', subject: token.id, status: 'active', at })],
    );
  });
  return { id: token.id, text: token.text };
}
