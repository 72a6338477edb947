import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { pino } from 'pino';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../apps/touchmark/src/embedded-postgres.js';
import {
  DigestNonces,
  ensureAuthority,
  ensureHierarchy,
  FailedAttempts,
  IssuerDirectory,
  Quotas,
  SharedFailures,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { makeBoxKeys } from '#credential';
import { loadConfig, systemClock, type Clock, type Lifetimes } from '#kernel';
import type { KeyType } from '#pki';
import { InProcessSigner } from '#signing';
import { Follower, type FollowerOptions } from '#status';
import { withCaKeyType } from './ca-key-type.js';
import { Database, migrate, type DatabaseConnection, type LoginPlane } from '#store';
import { copyDatabase, PASSWORDS, SUPERUSER_PASSWORD } from './template.js';

export const STATUS_URL = 'http://status.example.test';
export const silent = pino({ level: 'silent' });

const PEPPER = { version: 1, key: randomBytes(32) };
const ignore = (): void => undefined;

export type AuthorityPlane = 'api' | 'est' | 'worker';

/** A Postgres server of its own, migrated, and on it whatever a spec opens. */
export interface TestDatabase {
  home: string;
  clock: Clock;
  lifetimes: Lifetimes;
  macKey: KeyObject;
  caKek: Buffer;
  /** Seals webhook secrets and sign-in attempts. */
  apiKek: Buffer;
  pepper: typeof PEPPER;
  roots: { publicKey: Buffer; privateKey: Buffer };
  authorityId: string;
  /** Of the authority itself. */
  operator: Actor;
  /** As the superuser, whom neither grants nor row-level security bind; the schema is `touchmark`. */
  sql<T extends object = Record<string, unknown>>(text: string, values?: unknown[]): Promise<T[]>;
  /** As `sql`, with every trigger off: what somebody with the server in his hands can do. */
  tamper(text: string, values?: unknown[]): Promise<void>;
  superuser: DatabaseConnection;
  connection(plane: LoginPlane): DatabaseConnection;
  /** A pool under the plane's role, made once. */
  as(plane: LoginPlane | 'owner'): Promise<Database>;
  /** The context of a plane as an instance makes it, made once. */
  context(plane: AuthorityPlane): Promise<AuthorityContext>;
  /** A follower of its own, not started; it is stopped at the end. */
  follower(options?: Partial<FollowerOptions> & { plane?: LoginPlane }): Promise<Follower>;
  /** COPY of every table of every schema of ours, as text. */
  dump(): Promise<string>;
  /** Resolves when at least `count` sessions wait for a lock. */
  untilWaiting(count: number): Promise<void>;
  stopServer(): Promise<void>;
  startServer(): Promise<void>;
  stop(): Promise<void>;
}

export interface TestDatabaseOptions {
  clock?: Clock;
  lifetimes?: Partial<Lifetimes>;
  settings?: Partial<AuthorityContext['settings']>;
  /** Of root and issuing CA; as shipped where nothing is said. */
  caKeyType?: KeyType;
  /** What has been made when it starts: roles only by the spec, the schema, or authority and CAs too (default). */
  upTo?: 'server' | 'schema' | 'hierarchy';
  /** Where its directory is made; that of temporary files. */
  directory?: string;
}

export async function startTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { clock = systemClock, upTo = 'hierarchy' } = options;
  const lifetimes: Lifetimes = { ...loadConfig({}).lifetimes, ...options.lifetimes };
  const parent = await mkdtemp(path.join(options.directory ?? tmpdir(), 'touchmark-db-'));
  await chmod(parent, 0o711);
  const home = path.join(parent, 'var');
  // Another clock has its partitions at another time.
  const migrated = upTo !== 'server' && clock === systemClock;
  await copyDatabase(migrated ? 'schema' : 'server', home);
  const server = new Server(home);
  await server.start();
  const superuser = server.connection();
  if (upTo !== 'server' && !migrated) await migrate(superuser, PASSWORDS, clock.now());

  const macKey = createSecretKey(randomBytes(32));
  const caKek = randomBytes(32);
  const apiKek = randomBytes(32);
  const roots = makeBoxKeys();
  const transport = makeBoxKeys();
  const operator: Actor = { id: 'operator:test', organizationId: '', authority: true, requestId: 'test' };
  const pools = new Pools(superuser);
  const followers: Follower[] = [];
  const contexts = new Map<AuthorityPlane, Promise<AuthorityContext>>();

  const follower: TestDatabase['follower'] = async ({ plane = 'worker', ...rest } = {}) => {
    const database = await pools.get(plane);
    const peppers = new Map([[PEPPER.version, PEPPER]]);
    const made = new Follower({ database, macKey, clock, pollMs: 50, peppers, onError: ignore, ...rest });
    followers.push(made);
    return made;
  };

  const openContext = async (plane: AuthorityPlane): Promise<AuthorityContext> => {
    const database = await pools.get(plane);
    const following = await follower(plane === 'est' ? { plane, tokens: false } : { plane });
    await following.start();
    const settings = { ...loadConfig({}), ...options.settings };
    const authorityId = operator.organizationId;
    const limits = { plane, database, clock, macKey, authorityId, log: silent };
    const perMinute = { perAddressPerMinute: 100, perSecretPerMinute: 5 };
    return {
      plane,
      database,
      independent: database,
      clock,
      signer: withCaKeyType(new InProcessSigner(await pools.get('signer'), caKek, clock), options.caKeyType),
      follower: following,
      macKey,
      pepper: PEPPER,
      peppers: new Map([[PEPPER.version, PEPPER]]),
      rootsPublicKey: plane === 'api' ? roots.publicKey : undefined,
      transportPublicKey: plane === 'api' ? transport.publicKey : undefined,
      transportPrivateKey: plane === 'est' ? transport.privateKey : undefined,
      apiKek: plane === 'est' ? undefined : apiKek,
      issuers: new IssuerDirectory(database, following, silent),
      lifetimes,
      settings,
      authorityId,
      failedAttempts: new FailedAttempts(clock, perMinute, plane === 'worker' ? undefined : new SharedFailures(limits)),
      digestNonces: new DigestNonces(clock, macKey),
      quotas: new Quotas({ ...limits, defaults: settings.quotas }),
      log: silent,
    };
  };

  if (upTo === 'hierarchy') {
    const owner = await pools.get('owner');
    const base = { plane: 'init' as const, database: owner, clock, log: silent, lifetimes };
    operator.organizationId = await ensureAuthority(base);
    operator.personId = operator.organizationId;
    const signer = withCaKeyType(new InProcessSigner(await pools.get('signer'), caKek, clock), options.caKeyType);
    await ensureHierarchy({ ...base, signer, macKey, authorityId: operator.organizationId }, STATUS_URL);
  }

  const sql: TestDatabase['sql'] = (text, values = []) => pools.superuser(text, values);
  return {
    ...{ home, clock, lifetimes, macKey, caKek, apiKek, roots, operator, superuser, sql, follower },
    pepper: PEPPER,
    authorityId: operator.organizationId,
    tamper: (text, values = []) => pools.withoutTriggers(text, values),
    connection: (plane) => ({ ...superuser, user: `tm_${plane}`, password: PASSWORDS[plane] }),
    as: (plane) => pools.get(plane),
    context: (plane) => {
      const made = contexts.get(plane) ?? openContext(plane);
      contexts.set(plane, made);
      return made;
    },
    dump: () => dump(sql, path.join(home, 'pg', 'dump.txt')),
    untilWaiting: async (count) => {
      for (let polls = 0; ; polls++) {
        if (polls > 2000) throw new Error(`fewer than ${count} sessions wait for a lock`);
        const [row] = await sql<{ n: number }>(
          `select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock'`,
        );
        if (row!.n >= count) return;
        await delay(5);
      }
    },
    stopServer: () => server.stop(),
    startServer: () => server.start(),
    stop: async () => {
      for (const one of followers) await one.stop();
      await pools.close();
      await server.stop();
      await rm(parent, { recursive: true, force: true });
    },
  };
}

class Server {
  private postgres: EmbeddedPostgres | undefined;

  constructor(private readonly home: string) {}

  async start(): Promise<void> {
    this.postgres = await startEmbeddedPostgres({ home: this.home, password: SUPERUSER_PASSWORD, log: silent });
  }

  async stop(): Promise<void> {
    await this.postgres?.stop();
    this.postgres = undefined;
  }

  connection(): DatabaseConnection {
    if (this.postgres === undefined) throw new Error('the server is not running');
    const { host, port, user, password, database } = this.postgres;
    return { host, port, user, password, database, ssl: false };
  }
}

const SIZES: Readonly<Record<LoginPlane | 'owner', number>> = {
  api: 20,
  est: 12,
  worker: 12,
  responder: 4,
  signer: 4,
  owner: 4,
};

class Pools {
  private readonly databases = new Map<string, Promise<Database>>();
  private readonly admin: pg.Pool;

  constructor(private readonly connection: DatabaseConnection) {
    this.admin = new pg.Pool({ ...connection, max: 4, options: '-c search_path=touchmark,public' });
    this.admin.on('error', ignore);
  }

  get(plane: LoginPlane | 'owner'): Promise<Database> {
    const made = this.databases.get(plane) ?? this.open(plane);
    this.databases.set(plane, made);
    return made;
  }

  private open(plane: LoginPlane | 'owner'): Promise<Database> {
    if (plane === 'owner') return Database.open(this.connection, SIZES.owner, ignore, { actAs: 'tm_owner' });
    const connection = { ...this.connection, user: `tm_${plane}`, password: PASSWORDS[plane] };
    return Database.open(connection, SIZES[plane], ignore);
  }

  async superuser<T extends object>(text: string, values: unknown[]): Promise<T[]> {
    return (await this.admin.query<T>(text, values)).rows;
  }

  async withoutTriggers(text: string, values: unknown[]): Promise<void> {
    const client = await this.admin.connect();
    try {
      await client.query('begin');
      await client.query('set local session_replication_role = replica');
      await client.query(text, values);
      await client.query('commit');
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
  }

  async close(): Promise<void> {
    for (const one of this.databases.values()) await (await one).close();
    await this.admin.end();
  }
}

/** The server writes each table to a file of its own directory: COPY text, bytes as hex. */
async function dump(sql: TestDatabase['sql'], file: string): Promise<string> {
  const tables = await sql<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('touchmark', 'bull') and c.relkind in ('r', 'p') and not c.relispartition order by 1`,
  );
  const parts: string[] = [];
  for (const { name } of tables) {
    await sql(`copy (select * from ${name}) to '${file}'`);
    parts.push(`== ${name}\n${await readFile(file, 'utf8')}`);
  }
  return parts.join('\n');
}
