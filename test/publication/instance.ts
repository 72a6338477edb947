import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { startEmbeddedPostgres } from '../../apps/touchmark/src/embedded-postgres.js';
import {
  ensureHierarchy,
  DigestNonces,
  FailedAttempts,
  IssuerDirectory,
  Quotas,
  renewOcspDelegate,
  type AuthorityContext,
  type Issuer,
} from '#authority';
import { addSeconds, loadConfig, systemClock, type Clock, type Lifetimes } from '#kernel';
import { newSerial, type KeyType } from '#pki';
import { OcspDelegates, type Publisher } from '#publication';
import { InProcessSigner } from '#signing';
import { Follower } from '#status';
import {
  appendStatusChanges,
  Database,
  recordIntent,
  insertOrganization,
  migrate,
  newId,
  storeSigned,
  type IntentRow,
  type DatabaseConnection,
  type LoginPlane,
  type Tx,
} from '#store';
import { withCaKeyType } from '../harness/ca-key-type.js';
import { copyDatabase, PASSWORDS, SUPERUSER_PASSWORD } from '../harness/template.js';
import { plantedAudit } from '../store/rows.js';

export const STATUS_URL = 'http://status.example.test';

/** A database with root, issuing CA and their delegates, and what publishing needs; no plane is running. */
export interface PublishingInstance {
  home: string;
  clock: Clock;
  lifetimes: Lifetimes;
  authority: AuthorityContext;
  publisher: Publisher;
  root: Issuer;
  issuing: Issuer;
  macKey: KeyObject;
  ocspKek: Buffer;
  /** May do everything: for arranging and for tampering. */
  owner: Database;
  databases: Record<'worker' | 'responder', Database>;
  connection(plane: LoginPlane): DatabaseConnection;
  follow(plane: 'worker' | 'responder', pollMs?: number): Promise<Follower>;
  issue(options?: {
    issuer?: Issuer;
    notAfter?: Date;
    state?: 'issuing' | 'issued';
    published?: boolean;
  }): Promise<string>;
  change(
    serial: string,
    status: 'revoked' | 'onHold' | 'active',
    reason: string | null,
    at?: Date,
    then?: (tx: Tx) => Promise<unknown>,
  ): Promise<number>;
  /** Stops the database server, and starts it again, under the planes that go on. */
  stopDatabase(): Promise<void>;
  startDatabase(): Promise<void>;
  close(): Promise<void>;
}

export const silent = pino({ level: 'silent' });

export async function startInstance(
  options: { clock?: Clock; lifetimes?: Partial<Lifetimes>; shards?: number; caKeyType?: KeyType } = {},
): Promise<PublishingInstance> {
  const clock = options.clock ?? systemClock;
  const lifetimes: Lifetimes = { ...loadConfig({}).lifetimes, ...options.lifetimes };
  const parent = await mkdtemp(path.join(tmpdir(), 'tm-pub-'));
  await chmod(parent, 0o755);
  const home = path.join(parent, 'var');
  // Another clock has its partitions at another time.
  const migrated = clock === systemClock;
  await copyDatabase(migrated ? 'schema' : 'server', home);
  let postgres = await startEmbeddedPostgres({ home, password: SUPERUSER_PASSWORD, log: silent });
  const { host, port, database } = postgres;
  const superuser = { host, port, user: 'postgres', password: SUPERUSER_PASSWORD, database, ssl: false };
  if (!migrated) await migrate(superuser, PASSWORDS, clock.now());

  const ignore = (): void => undefined;
  const connection = (plane: LoginPlane): DatabaseConnection => ({
    ...superuser,
    user: `tm_${plane}`,
    password: PASSWORDS[plane],
  });
  const owner = await Database.open(superuser, 4, ignore, { actAs: 'tm_owner' });
  const databases = {
    worker: await Database.open(connection('worker'), 8, ignore),
    responder: await Database.open(connection('responder'), 6, ignore),
  };
  const signing = await Database.open(connection('signer'), 2, ignore);

  const macKey = createSecretKey(randomBytes(32));
  const ocspKek = randomBytes(32);
  const signer = withCaKeyType(new InProcessSigner(signing, randomBytes(32), clock), options.caKeyType);
  const followers: Follower[] = [];
  const follow = async (plane: 'worker' | 'responder', pollMs = 50): Promise<Follower> => {
    const follower = new Follower({
      database: databases[plane],
      macKey,
      clock,
      pollMs,
      peppers: undefined,
      onError: ignore,
    });
    await follower.start();
    followers.push(follower);
    return follower;
  };
  const authorityId = newId(clock);
  await owner.transaction((tx) =>
    insertOrganization(tx, { id: authorityId, kind: 'authority', name: 'Test Authority', country: null }),
  );
  const follower = await follow('worker');
  const pepper = { version: 1, key: randomBytes(32) };
  const authority: AuthorityContext = {
    plane: 'worker',
    database: databases.worker,
    independent: databases.worker,
    clock,
    signer,
    follower,
    macKey,
    pepper,
    peppers: new Map([[1, pepper]]),
    rootsPublicKey: undefined,
    transportPublicKey: undefined,
    transportPrivateKey: undefined,
    apiKek: randomBytes(32),
    issuers: new IssuerDirectory(databases.worker, follower, silent),
    lifetimes,
    settings: loadConfig({}),
    authorityId,
    failedAttempts: new FailedAttempts(clock, { perAddressPerMinute: 100, perSecretPerMinute: 5 }),
    digestNonces: new DigestNonces(clock, macKey),
    quotas: new Quotas({
      ...{ plane: 'worker', database: databases.worker, clock, authorityId, log: silent },
      defaults: loadConfig({}).quotas,
    }),
    log: silent,
  };
  await ensureHierarchy({ ...authority, plane: 'init', database: owner }, STATUS_URL);
  if (options.shards !== undefined)
    await owner.rows(`update issuers set shards = $1 where kind = 'issuing'`, [options.shards]);
  const delegates = new OcspDelegates(ocspKek, ignore);
  const publisher: Publisher = {
    database: databases.worker,
    clock,
    signer,
    follower,
    delegates,
    lifetimes,
    log: silent,
  };
  const root = await authority.issuers.root();
  const issuing = await authority.issuers.issuing();
  for (const issuer of [root, issuing]) await renewOcspDelegate(authority, issuer, { ocspKek });
  await delegates.refresh(databases.worker, [root, issuing]);

  return {
    home,
    clock,
    lifetimes,
    authority,
    publisher,
    root,
    issuing,
    macKey,
    ocspKek,
    owner,
    databases,
    connection,
    follow,
    issue: async ({
      issuer = issuing,
      notAfter = addSeconds(clock.now(), 86_400),
      state = 'issued',
      published = true,
    } = {}) => {
      const serial = newSerial();
      await owner.transaction(async (tx) => {
        const bytes = Buffer.from(serial, 'hex');
        const shard = Number.parseInt(serial.slice(2, 6), 16) % issuer.shards;
        const planted: IntentRow = {
          serial: bytes,
          issuerId: issuer.id,
          shard,
          notBefore: addSeconds(notAfter, -86_400 * 90),
          notAfter,
          profile: 'device',
          profileVersion: 1,
          published,
          tbs: randomBytes(32),
          spkiSha256: randomBytes(32),
          subject: 'CN=test',
          names: [],
          deviceId: null,
          appId: null,
          releaseId: null,
          secretId: null,
          requestLabel: '',
          requester: 'system:test',
          ownerOrgId: null,
          issuerOrgId: authorityId,
          mac: Buffer.alloc(32),
        };
        await recordIntent(tx, { row: planted, audit: plantedAudit(clock.now()) });
        if (state === 'issued')
          await storeSigned(
            tx,
            { serial: bytes, notAfter, der: randomBytes(32), supersedes: null, deviceId: null },
            plantedAudit(clock.now()),
          );
      });
      return serial;
    },
    change: async (serial, status, reason, at = clock.now(), then = async () => undefined) => {
      const [row] = await owner.rows<{ issuerId: string; shard: number; notAfter: Date }>(
        `select issuer_id as "issuerId", shard, not_after as "notAfter" from serials where serial = decode($1, 'hex')`,
        [serial],
      );
      if (row === undefined) throw new Error(`no serial ${serial}`);
      return owner.transaction(async (tx) => {
        const seq = await appendStatusChanges(tx, macKey, [
          { kind: 'certificate', subject: serial, status, reason, at, invalidityDate: null, endsAt: null, ...row },
        ]);
        await then(tx);
        return seq;
      });
    },
    stopDatabase: () => postgres.stop(),
    startDatabase: async () => {
      postgres = await startEmbeddedPostgres({ home, password: SUPERUSER_PASSWORD, log: silent });
    },
    close: async () => {
      for (const one of followers) await one.stop();
      for (const one of [owner, databases.worker, databases.responder, signing]) await one.close();
      await postgres.stop();
      await rm(parent, { recursive: true, force: true });
    },
  };
}
