import { createSecretKey, randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { DigestNonces, FailedAttempts, IssuerDirectory, Quotas, type AuthorityContext } from '#authority';
import { mintApiKey, mintOperatorToken, verifierHash } from '#credential';
import { AuthorityError, loadConfig, systemClock, type Config } from '#kernel';
import type { KeyEntry, PersonEntry, TokenEntry } from '#status';
import type { Database, Tx } from '#store';

export interface OfflineAuthority {
  config: Config;
  authority: AuthorityContext;
  /** Of an operator of the authority itself. */
  operatorToken: string;
  /** Of an operator of a vendor. */
  vendorToken: string;
  apiKey: string;
}

const AUTHORITY = '01900000-0000-7000-8000-000000000001';
const VENDOR = '01900000-0000-7000-8000-000000000002';

/**
 * An authority whose database is down: two operator tokens and one API key stand in the in-memory index, the organizations
 * of the two can be read, permits are lent, everything else is `unavailable`. For what is decided before the database is
 * asked.
 */
export function offlineAuthority(settings: Record<string, string> = {}): OfflineAuthority {
  const config = loadConfig(settings);
  const operator = mintOperatorToken();
  const vendor = mintOperatorToken();
  const key = mintApiKey('live');
  const tokens = new Map<string, TokenEntry>(
    [
      { credential: operator, organizationId: AUTHORITY, kind: 'bootstrap' as const, roles: [] },
      { credential: vendor, organizationId: VENDOR, kind: 'machine' as const, roles: ['developer' as const] },
    ].map(({ credential, organizationId, kind, roles }) => [
      credential.id,
      {
        id: credential.id,
        verifier: verifierHash(credential),
        organizationId,
        name: 't',
        kind,
        personId: null,
        createdBy: kind === 'machine' ? VENDOR : null,
        roles,
        expiresAt: null,
        endsAt: null,
        status: 'active',
        seq: 1,
      },
    ]),
  );
  const entry: KeyEntry = {
    id: key.id,
    verifier: verifierHash(key),
    releaseId: VENDOR,
    environment: 'live',
    audience: 'all',
    audienceValues: [],
    enroll: false,
    ownerOrgId: VENDOR,
    issuerOrgId: AUTHORITY,
    expiresAt: new Date(Date.now() + 3_600_000),
    status: 'active',
    reason: null,
    endsAt: null,
    seq: 3,
  };
  const run = <T>(work: (tx: Tx) => Promise<T>) => work(onlyOrganizations);
  const noIssuers = { issuer: () => undefined, issuersSeq: 0, certificate: () => undefined };
  const database = { transaction: run, single: run };
  const permits: Tx = {
    ...onlyOrganizations,
    rows: <T extends object>() =>
      Promise.resolve([{ window: '', secondsLeft: 60, granted: 1_000_000 } as unknown as T]),
  };
  const lending = <T>(work: (tx: Tx) => Promise<T>) => work(permits);
  const log = pino({ level: 'silent' });
  const authority: AuthorityContext = {
    plane: 'api',
    database,
    independent: database,
    clock: systemClock,
    signer: { sign: () => Promise.reject(down()), createKey: () => Promise.reject(down()) },
    follower: {
      index: {
        seq: 3,
        certificateCount: 0,
        certificate: () => undefined,
        device: () => undefined,
        group: () => undefined,
        key: (id) => (id === key.id ? entry : undefined),
        token: (id) => tokens.get(id),
        person: () => undefined,
        people: () => new Map<string, PersonEntry>().values(),
        passkey: () => undefined,
        issuer: () => undefined,
        issuersSeq: 0,
        document: () => undefined,
        documents: () => new Map(),
        domain: () => undefined,
        user: () => undefined,
        identity: () => undefined,
        transport: () => undefined,
        ra: () => undefined,
        crl: () => undefined,
      },
      catchUp: () => Promise.resolve(),
      assertFresh: () => undefined,
    },
    macKey: createSecretKey(randomBytes(32)),
    pepper: { version: 1, key: randomBytes(32) },
    peppers: new Map(),
    rootsPublicKey: undefined,
    transportPublicKey: undefined,
    transportPrivateKey: undefined,
    apiKek: undefined,
    issuers: new IssuerDirectory(database as unknown as Database, { index: noIssuers }, pino({ level: 'silent' })),
    lifetimes: config.lifetimes,
    settings: config,
    authorityId: AUTHORITY,
    failedAttempts: new FailedAttempts(systemClock, config.failedAuth),
    digestNonces: new DigestNonces(systemClock, createSecretKey(randomBytes(32))),
    quotas: new Quotas({
      ...{ plane: 'api', database: { transaction: lending, single: lending }, clock: systemClock, log },
      ...{ defaults: config.quotas, authorityId: AUTHORITY },
    }),
    log,
  };
  return { config, authority, operatorToken: operator.text, vendorToken: vendor.text, apiKey: key.text };
}

function down(): AuthorityError {
  return new AuthorityError('unavailable', 'the database cannot be reached just now', { retryAfter: 2 });
}

const onlyOrganizations: Tx = {
  rows: <T extends object>(sql: string, values: readonly unknown[] = []): Promise<T[]> => {
    const id = values[0];
    if (!sql.includes('from organizations where id') || (id !== AUTHORITY && id !== VENDOR))
      return Promise.reject(down());
    const kind = id === AUTHORITY ? 'authority' : 'vendor';
    return Promise.resolve([{ id, kind, name: kind, country: null, createdAt: new Date(0) } as unknown as T]);
  },
  run: () => Promise.reject(down()),
  client: () => {
    throw down();
  },
};
