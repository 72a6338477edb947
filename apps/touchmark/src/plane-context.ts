import { createSecretKey, type KeyObject } from 'node:crypto';
import type { Logger } from 'pino';
import {
  AccountVerifier,
  DigestNonces,
  FailedAttempts,
  IssuerDirectory,
  Quotas,
  SharedFailures,
  type AuthorityContext,
} from '#authority';
import { AuthorityError, systemClock, type Config, type Registry } from '#kernel';
import { CircuitBreaker, DeadlineSigner, MeasuredSigner, ProcessSigner, type Signer, type Token } from '#signing';
import { Follower, type FollowerOptions } from '#status';
import { Database, findAuthority } from '#store';
import type { DatabaseServer } from './database-server.js';
import { localSigner, signsElsewhere } from './local-signer.js';
import type { Secrets } from './secrets.js';

const POOL_SIZE = { api: 12, est: 12, worker: 12, responder: 6, signer: 2 } as const;
/**
 * Whatever an enrollment reads, it reads by key. A plan that scans is made while tables are small and would stay with the
 * connection when they are large.
 */
const BY_KEY = { enable_seqscan: 'off' };
/** One listens, two count. Apart from the plane's pool: whoever waits for a permit may hold a connection of that one. */
const LIMITS_POOL_SIZE = 3;

/** What one plane works with, and how it is given back. */
export interface PlaneContext {
  authority: AuthorityContext;
  database: Database;
  follower: Follower;
  /** What it cannot do now, while it does the rest. */
  degraded: () => string[];
  close(): Promise<void>;
}

export interface PlaneParts {
  config: Config;
  server: DatabaseServer;
  secrets: Secrets;
  log: Logger;
  /** One for the process. */
  registry: Registry;
  /** The PKCS#11 token, where this process holds the CA keys and one is set up. */
  token?: Token | undefined;
}

/** All that asks for a connection needs. */
export type DatabaseParts = Pick<PlaneParts, 'server' | 'log'>;

export function openPlaneDatabase(
  parts: DatabaseParts,
  plane: keyof typeof POOL_SIZE,
  poolSize: number = POOL_SIZE[plane],
): Promise<Database> {
  const onError = sayOnce((err) => parts.log.warn({ err, plane }, 'database connection lost'));
  const settings = plane === 'est' ? BY_KEY : {};
  return Database.open(parts.server.connectionOf(plane), poolSize, onError, { settings });
}

/** Database under the plane's own role, signer, and a follower that has applied the whole status log. */
async function openPlane(parts: PlaneParts, plane: 'api' | 'est' | 'worker'): Promise<PlaneContext> {
  const { config, secrets } = parts;
  const log = parts.log.child({ plane });
  const { peppers, statusMacKey } = secrets.of(plane);
  const macKey = createSecretKey(statusMacKey);
  const database = await openPlaneDatabase(parts, plane);
  const authorityId = await readAuthorityId(database, plane);
  // Only the api plane checks tokens; the EST plane takes API keys too.
  const checks = {
    api: { peppers: peppers.byVersion, scope: { organizationId: authorityId, authority: true } },
    est: { peppers: peppers.byVersion, tokens: false },
    worker: { peppers: undefined },
  }[plane];
  const follower = await startFollower(parts, { database, macKey, ...checks }, log);
  const limits = await openLimits(parts, { plane, macKey, authorityId, log });
  const signer = await openSigner(parts);
  const authority: AuthorityContext = {
    plane,
    database,
    independent: database,
    clock: systemClock,
    signer: signer.signer,
    follower,
    macKey,
    // Asked for at each use: a rotation changes it while the plane runs.
    get pepper() {
      return peppers.current;
    },
    peppers: peppers.byVersion,
    rootsPublicKey: plane === 'api' ? secrets.of('api').rootsPublicKey : undefined,
    transportPublicKey: plane === 'api' ? secrets.of('api').transportPublicKey : undefined,
    transportPrivateKey: plane === 'est' ? secrets.of('est').transportPrivateKey : undefined,
    apiKek: plane === 'est' ? undefined : secrets.of(plane).apiKek,
    accounts: plane === 'est' && config.estAccounts ? new AccountVerifier(config.estAccounts, systemClock) : undefined,
    issuers: new IssuerDirectory(database, follower, log),
    lifetimes: config.lifetimes,
    settings: config,
    authorityId,
    failedAttempts: limits.failedAttempts,
    digestNonces: new DigestNonces(systemClock, macKey),
    quotas: limits.quotas,
    log,
  };
  return {
    authority,
    database,
    follower,
    degraded: () => signer.problems(),
    close: async () => {
      await Promise.all([follower.stop(), limits.close()]);
      await Promise.all([database.close(), signer.close()]);
    },
  };
}

/** Whoever holds the keys, behind deadline, circuit breaker and figures. */
async function openSigner(
  parts: PlaneParts,
): Promise<{ signer: Signer; problems(): string[]; close(): Promise<void> }> {
  const held = signsElsewhere(parts.config) ? remoteSigner(parts) : await ownSigner(parts);
  const guarded = new CircuitBreaker(new DeadlineSigner(held.signer), systemClock, parts.registry);
  const signer = new MeasuredSigner(guarded, parts.registry, systemClock);
  return { signer, problems: () => guarded.problems(), close: held.close };
}

function remoteSigner({ config, secrets }: PlaneParts) {
  const signer = new ProcessSigner(config.signer.socket, secrets.of('signerClient').authKeys);
  return { signer, close: () => signer.close() };
}

async function ownSigner(parts: PlaneParts) {
  const database = await openPlaneDatabase(parts, 'signer');
  const signer = localSigner(parts.config, database, parts.secrets.of('signer').caKek, parts.token);
  return { signer, close: () => database.close() };
}

/** What is limited over all processes together. The worker is asked for nothing by anybody and has nothing to limit. */
async function openLimits(
  parts: PlaneParts,
  of: { plane: 'api' | 'est' | 'worker'; macKey: KeyObject; authorityId: string; log: Logger },
) {
  const { config } = parts;
  const database = await openPlaneDatabase(parts, of.plane, LIMITS_POOL_SIZE);
  const shared = new SharedFailures({ ...of, database, clock: systemClock });
  if (of.plane !== 'worker') await shared.start();
  return {
    failedAttempts: new FailedAttempts(systemClock, config.failedAuth, of.plane === 'worker' ? undefined : shared),
    quotas: new Quotas({ ...of, database, clock: systemClock, defaults: config.quotas }),
    close: async () => {
      await shared.stop();
      await database.close();
    },
  };
}

/** Opens a plane and starts what runs on it; closes it again where that fails. */
export async function onPlane<T>(
  parts: PlaneParts,
  name: 'api' | 'est' | 'worker',
  start: (plane: PlaneContext) => Promise<T>,
): Promise<T> {
  const plane = await openPlane(parts, name);
  try {
    return await start(plane);
  } catch (error) {
    await plane.close().catch((err: unknown) => parts.log.warn({ err }, 'closing after a failed start'));
    throw error;
  }
}

export async function startFollower(
  parts: Pick<PlaneParts, 'config'>,
  options: Pick<FollowerOptions, 'database' | 'macKey' | 'peppers' | 'tokens' | 'scope'>,
  log: Logger,
): Promise<Follower> {
  const follower = new Follower({
    ...options,
    clock: systemClock,
    pollMs: parts.config.lifetimes.followerPollMs,
    onError: sayOnce((err) => log.error({ err }, 'following the status log')),
  });
  await follower.start();
  return follower;
}

const REPEAT_MS = 30_000;

/** The same complaint again and again (the database is down) is logged every 30 s. */
function sayOnce(say: (error: Error) => void): (error: Error) => void {
  let last = '';
  let at = -Infinity;
  return (error) => {
    const now = systemClock.monotonicMs();
    if (error.message === last && now - at < REPEAT_MS) return;
    last = error.message;
    at = now;
    say(error);
  };
}

async function readAuthorityId(database: Database, plane: string): Promise<string> {
  // The api role sees organizations by scope; the authority's own is what is looked for.
  const scope = { organizationId: '00000000-0000-0000-0000-000000000000', authority: true };
  const found = await database.transaction(findAuthority, plane === 'api' ? { scope } : {});
  if (!found) {
    throw new AuthorityError(
      'unavailable',
      'the database holds no authority yet: run "touchmark init" once, then start the planes',
    );
  }
  return found.id;
}
