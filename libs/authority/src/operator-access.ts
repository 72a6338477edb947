import { appendAudit } from '#audit';
import { mintOperatorToken, parseCredential, sealVerifier, verifierHash, verifierMatches } from '#credential';
import { AuthorityError } from '#kernel';
import { permissionsOf, rolesOf as roleNames, type Permission, type Role } from '#policy';
import { tokenRowMac, tokenSealContext, type PersonEntry, type TokenEntry } from '#status';
import {
  findAuthority,
  findOrganization,
  insertOperatorToken,
  insertOrganization,
  newId,
  type OperatorTokenRow,
  type Organization,
  type StatusChange,
  type TokenKind,
  type Tx,
} from '#store';
import { logStatus, statusChange, type StatusAudit } from './change-status.js';
import { scopeOf, systemActor, type Actor, type AuthorityContext } from './context.js';
import { isUsable } from './tokens/usable.js';

/** An authenticated operator, the organization it acts for and what it may do there. */
export interface Caller {
  actor: Omit<Actor, 'requestId'>;
  organization: Pick<Organization, 'id' | 'kind' | 'country'>;
  tokenId: string;
  kind: TokenKind;
  roles: readonly Role[];
  permissions: ReadonlySet<Permission>;
}

const REFUSAL = 'the bearer token is missing, wrong or no longer valid';
type CallerOrganization = Caller['organization'];
const organizations = new WeakMap<AuthorityContext, Map<string, CallerOrganization>>();

/**
 * Bearer token to caller, in memory: parse, look up, one SHA-256, constant-time compare; then what the log grants the
 * person now. Throws `unauthenticated` with one text for every reason, `limited` after too many failures. Failures are audited.
 */
export async function authenticateOperator(
  a: AuthorityContext,
  token: string | undefined,
  at: { address: string; requestId: string },
): Promise<Caller> {
  a.failedAttempts.check(at.address);
  const entry = checkToken(a, token);
  if (entry !== undefined) {
    const organization = organizations.get(a)?.get(entry.organizationId) ?? (await loadOrganization(a, entry));
    return callerOf(a, entry, organization);
  }
  a.failedAttempts.record(at.address);
  await auditFailedAuthentication(a, at, 'operator');
  throw new AuthorityError('unauthenticated', REFUSAL);
}

function checkToken(a: AuthorityContext, token: string | undefined): TokenEntry | undefined {
  const credential = token === undefined ? undefined : parseCredential(token);
  if (credential?.kind !== 'operatorToken') return undefined;
  const entry = a.follower.index.token(credential.id);
  const matches = verifierMatches(entry?.verifier, verifierHash(credential));
  if (!matches || entry === undefined || !isUsable(entry, a.clock.now())) return undefined;
  if (entry.personId !== null && a.follower.index.person(entry.personId)?.status !== 'active') return undefined;
  return entry;
}

async function loadOrganization(a: AuthorityContext, entry: TokenEntry): Promise<CallerOrganization> {
  const organization = await a.database.transaction(
    (tx) => findOrganization(tx, entry.organizationId),
    scopeOf(a, { ...systemActor(a, ''), organizationId: entry.organizationId }),
  );
  if (!organization) throw new AuthorityError('unauthenticated', REFUSAL);
  const known = organizations.get(a) ?? new Map<string, CallerOrganization>();
  organizations.set(a, known.set(organization.id, organization));
  return organization;
}

const callers = new WeakMap<TokenEntry, { caller: Caller; person: PersonEntry | undefined }>();

/** Made anew when the log changes the token or its person: both entries are replaced then. */
function callerOf(a: AuthorityContext, entry: TokenEntry, organization: CallerOrganization): Caller {
  const person = entry.personId === null ? undefined : a.follower.index.person(entry.personId);
  const known = callers.get(entry);
  if (known?.person === person && known !== undefined) return known.caller;
  const roles = rolesNow(entry, person, organization);
  const caller: Caller = {
    actor: {
      id: entry.personId === null ? `operator:${entry.id}` : `person:${entry.personId}`,
      organizationId: entry.organizationId,
      personId: entry.kind === 'bootstrap' ? a.authorityId : (entry.personId ?? entry.createdBy ?? undefined),
      authority: entry.organizationId === a.authorityId,
      testing: organization.kind === 'testing',
    },
    organization,
    tokenId: entry.id,
    kind: entry.kind,
    roles,
    permissions: permissionsNow(entry, organization, roles),
  };
  callers.set(entry, { caller, person });
  return caller;
}

/** Whoever signed in may see who he is and make a passkey, also before he is given a role. */
function permissionsNow(
  entry: TokenEntry,
  organization: CallerOrganization,
  roles: readonly Role[],
): ReadonlySet<Permission> {
  const given = permissionsOf(organization.kind, roles);
  return entry.personId === null ? given : new Set([...given, 'session']);
}

/** A token never gives more than it was made for, nor more than its person has now. */
function rolesNow(entry: TokenEntry, person: PersonEntry | undefined, organization: CallerOrganization): Role[] {
  const possible = roleNames(organization.kind);
  if (entry.kind === 'bootstrap') return possible;
  const scope = possible.filter((role) => entry.roles.includes(role));
  return entry.personId === null ? scope : scope.filter((role) => person?.roles.has(role));
}

/** One row per failed try, of whatever plane. Never throws: an attacker must not learn that the database is down. */
export async function auditFailedAuthentication(
  a: AuthorityContext,
  at: { address: string; requestId: string },
  what: string,
): Promise<void> {
  const actor: Actor = { ...systemActor(a, at.requestId), id: `anonymous:${at.address}` };
  await a.failedAttempts.settle();
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

/** The token of the first start, for the authority itself. The text is returned once and stored nowhere. */
export async function issueBootstrapToken(a: TokenMaker, name: string): Promise<{ id: string; text: string }> {
  const actor = systemActor(a, 'init');
  const facts = {
    organizationId: a.authorityId,
    name,
    kind: 'bootstrap',
    personId: null,
    createdBy: null,
    roles: [],
    predecessorId: null,
    expiresAt: null,
  } as const;
  const { id, text } = await a.database.transaction((tx) => writeToken(tx, a, actor, { ...facts, roles: [] }));
  return { id, text };
}

type TokenMaker = Pick<AuthorityContext, 'database' | 'clock' | 'macKey' | 'pepper' | 'plane' | 'authorityId'>;

/** What is written with a new token: that it follows another, which ends; that somebody signed in. */
export interface WithToken {
  action?: 'token.issued' | 'token.rotated';
  audits?: readonly StatusAudit[];
  changes?: readonly StatusChange[];
}

/** A token with its status row and audit entry, last in the transaction. Answers its text, shown once. */
export async function writeToken(
  tx: Tx,
  a: Pick<TokenMaker, 'clock' | 'macKey' | 'pepper'>,
  actor: Actor,
  facts: Omit<OperatorTokenRow, 'id' | 'sealedVerifier' | 'pepperVersion' | 'mac'>,
  { action = 'token.issued', audits = [], changes = [] }: WithToken = {},
): Promise<{ id: string; text: string; seq: number }> {
  const token = mintOperatorToken();
  const row = { ...facts, id: token.id };
  await insertOperatorToken(tx, {
    ...row,
    sealedVerifier: sealVerifier(a.pepper, verifierHash(token), tokenSealContext(row)),
    pepperVersion: a.pepper.version,
    mac: tokenRowMac(a.macKey, row),
  });
  const at = a.clock.now();
  const { organizationId, name, kind, personId, roles, expiresAt, predecessorId } = row;
  const audit = {
    action,
    subject: `token:${token.id}`,
    ownerOrgId: organizationId,
    issuerOrgId: actor.organizationId,
    detail: {
      name,
      kind,
      personId,
      predecessorId,
      roles: roles.join(' '),
      expiresAt: expiresAt?.toISOString() ?? null,
    },
  };
  const change = statusChange({ kind: 'token', subject: token.id, status: 'active', at });
  return {
    id: token.id,
    text: token.text,
    seq: await logStatus(tx, a, actor, at, [...audits, audit], [...changes, change]),
  };
}
