import { readdirSync, readFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { DataSource, type MigrationInterface, type QueryRunner } from 'typeorm';
import { actAsRole } from './act-as.js';
import type { DatabaseConnection } from './connection.js';
import { toAuthorityError } from './failure.js';
import { ensureRoles, type LoginPlane } from './roles.js';

const LOCK = 700_100;

/** `migrations/` of the project: the first one found above this file, both in the sources and in the built tree. */
function migrationsDirectory(): string {
  for (let dir = path.dirname(fileURLToPath(import.meta.url)); ; dir = path.dirname(dir)) {
    const candidate = path.join(dir, 'migrations');
    if (existsSync(path.join(dir, 'package.json')) && existsSync(candidate)) return candidate;
    if (dir === path.dirname(dir)) throw new Error('the folder migrations/ is missing');
  }
}

/** One TypeORM migration per pair of hand-written files `<13 digits>-<name>.{up,down}.sql`. */
function migrationClasses(): (new () => MigrationInterface)[] {
  const directory = migrationsDirectory();
  const stems = readdirSync(directory)
    .filter((file) => file.endsWith('.up.sql'))
    .map((file) => file.slice(0, -'.up.sql'.length))
    .sort();
  return stems.map((stem) => {
    const [timestamp = '', ...words] = stem.split('-');
    const run = (runner: QueryRunner, direction: 'up' | 'down') =>
      runner.query(readFileSync(path.join(directory, `${stem}.${direction}.sql`), 'utf8'));
    return class implements MigrationInterface {
      readonly name = `${words.join('_')}${timestamp}`;
      async up(runner: QueryRunner): Promise<void> {
        await run(runner, 'up');
      }
      async down(runner: QueryRunner): Promise<void> {
        await run(runner, 'down');
      }
    };
  });
}

async function withMigrator<T>(connection: DatabaseConnection, work: (source: DataSource) => Promise<T>): Promise<T> {
  const source = new DataSource({
    type: 'postgres',
    host: connection.host,
    port: connection.port,
    username: connection.user,
    password: connection.password,
    database: connection.database,
    ssl: connection.ssl,
    schema: 'touchmark',
    synchronize: false,
    entities: [],
    migrations: migrationClasses(),
    migrationsTableName: 'schema_migrations',
    migrationsTransactionMode: 'each',
    poolSize: 3,
  });
  try {
    await source.initialize();
    const lock = source.createQueryRunner();
    await lock.query('select pg_advisory_lock($1)', [LOCK]);
    try {
      return await work(source);
    } finally {
      await lock.query('select pg_advisory_unlock($1)', [LOCK]);
      await lock.release();
    }
  } catch (error) {
    throw toAuthorityError(error);
  } finally {
    if (source.isInitialized) await source.destroy();
  }
}

/**
 * Brings roles and schema up to date and makes the partitions of the time ahead. Safe to run from several processes at
 * once. Returns the names of the migrations that ran.
 */
export async function migrate(
  connection: DatabaseConnection,
  passwords: Readonly<Record<LoginPlane, string>>,
  now: Date,
): Promise<string[]> {
  return withMigrator(connection, async (source) => {
    await ensureRoles(source, passwords);
    await actAsRole(source, 'tm_owner');
    const done = await source.runMigrations();
    await source.query('select touchmark.ensure_partitions($1)', [now]);
    return done.map((migration) => migration.name);
  });
}

/** Takes every migration back, the newest first; for tests of the way down and for removing the schema. Returns how many. */
export async function migrateDown(connection: DatabaseConnection): Promise<number> {
  return withMigrator(connection, async (source) => {
    await actAsRole(source, 'tm_owner');
    let count = 0;
    while ((await source.query('select 1 from touchmark.schema_migrations limit 1')).length > 0) {
      await source.undoLastMigration();
      count++;
    }
    return count;
  });
}
