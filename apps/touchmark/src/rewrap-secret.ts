import path from 'node:path';
import type { Logger } from 'pino';
import {
  recordRotation,
  rewrapAuditKey,
  rewrapCaKeys,
  rewrapOcspDelegates,
  rewrapVerifiers,
  rewrapWebhooks,
  type Rewrapped,
} from '#authority';
import type { KeyRing } from '#credential';
import { AuthorityError, systemClock, type Config } from '#kernel';
import { Database, parseDatabaseUrl, type DatabaseConnection } from '#store';
import { VERSIONED, type VersionedSecret } from './key-versions.js';
import { readPostmaster } from './postgres/postmaster.js';
import { secretFile } from './rotate-secret.js';
import { openSecrets } from './secrets.js';

type Progress = (done: Rewrapped) => void;
type Rewrap = (database: Database, ring: KeyRing, progress: Progress) => Promise<Rewrapped>;

/** Nothing is sealed under it yet. */
const nothing: Rewrap = () => Promise.resolve({ resealed: 0, broken: 0 });

const REWRAP: Readonly<Record<VersionedSecret, { role: 'worker' | 'signer'; holder?: 'signerService'; work: Rewrap }>> =
  {
    pepper: {
      role: 'worker',
      work: (database, ring, progress) => rewrapVerifiers(database, ring, (_, sums) => progress(sums)),
    },
    'ca.kek': { role: 'signer', work: rewrapCaKeys },
    'api.kek': { role: 'worker', work: rewrapWebhooks },
    'audit.kek': { role: 'worker', work: rewrapAuditKey },
    'ocsp.kek': { role: 'worker', work: rewrapOcspDelegates },
    'feed.kek': { role: 'worker', work: nothing },
    'signer.auth': { role: 'signer', holder: 'signerService', work: nothing },
  };

/**
 * `work` with the database that runs, as the role that may rotate this key; it starts none. While it lasts nobody else rotates the
 * same key: throws `conflict` (code `rotationRuns`) where somebody does.
 */
export async function whileRotating<T>(
  config: Config,
  name: VersionedSecret,
  log: Logger,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const { role } = REWRAP[name];
  const password = openSecrets(config, [role], { create: false }).of(role).databasePassword;
  const onError = (err: Error) => log.warn({ err }, 'database connection lost');
  const database = await Database.open(await runningDatabase(config, role, password), 3, onError);
  try {
    const result = await database.exclusively(VERSIONED.indexOf(name), () => work(database));
    if (result) return result.done;
    throw new AuthorityError('conflict', `${name}: another rotation of this key runs just now; wait for its end`, {
      code: 'rotationRuns',
    });
  } finally {
    await database.close();
  }
}

/** Seals what is stored under the version in use. Run again until it finds nothing more; recorded in the audit log as `step`. */
export async function rewrapStored(
  config: Config,
  name: VersionedSecret,
  database: Database,
  options: { step: 'rewrap' | 'retire'; progress?: Progress },
): Promise<Rewrapped> {
  const { role, holder = role, work } = REWRAP[name];
  const ring = openSecrets(config, [holder], { create: false }).rings.get(secretFile(config, name));
  if (ring === undefined) throw new AuthorityError('internal', `${name} is not among the secrets of ${role}`);
  const done = await work(database, ring, options.progress ?? (() => undefined));
  const version = ring.current.version;
  await recordRotation(database, systemClock, { secret: name, step: options.step, version, ...done });
  return done;
}

async function runningDatabase(
  { planeDatabaseUrls, databaseUrl, home }: Config,
  role: 'worker' | 'signer',
  password: string,
): Promise<DatabaseConnection> {
  const url = planeDatabaseUrls[role];
  if (url !== undefined) return parseDatabaseUrl(url);
  const own = { user: `tm_${role}`, password };
  if (databaseUrl !== undefined) return { ...parseDatabaseUrl(databaseUrl), ...own };
  const running = await readPostmaster(path.join(home, 'pg'));
  if (running === undefined)
    throw new AuthorityError('unavailable', `Touchmark does not run in ${home}: start it first`);
  return { host: running.socketDirectory, port: running.port, database: 'touchmark', ssl: false, ...own };
}
