import type { Config, PlaneRole } from '#kernel';
import { parseDatabaseUrl, type DatabaseConnection } from '#store';
import { startEmbeddedPostgres } from './embedded-postgres.js';
import type { Logger } from './log.js';
import type { Secrets } from './secrets.js';

export interface DatabaseServer {
  /** As the owner of schema and roles (`migrate`), or as the role of a plane, which `migrate` has made. */
  connectionOf(plane: PlaneRole): DatabaseConnection;
  /** True when the embedded server already ran. */
  adopted: boolean;
  /** Stops an embedded server; nothing for an external one. */
  stop(): Promise<void>;
}

/**
 * The database that DATABASE_URL names, or else embedded Postgres, started. `TOUCHMARK_DB_<PLANE>_URL` wins for its plane;
 * otherwise a plane is role `tm_<plane>` with the password of `secrets/db-<plane>`. The secrets asked for must be open.
 */
export async function openDatabaseServer(config: Config, secrets: Secrets, log: Logger): Promise<DatabaseServer> {
  const { databaseUrl, planeDatabaseUrls, home } = config;
  let owner: DatabaseConnection;
  let adopted = false;
  let stop = () => Promise.resolve();
  if (databaseUrl !== undefined) {
    owner = parseDatabaseUrl(databaseUrl);
  } else {
    const password = secrets.of('migrate').superuserPassword ?? '';
    const postgres = await startEmbeddedPostgres({ home, password, log });
    const { host, port, user, database } = postgres;
    owner = { host, port, user, password, database, ssl: false };
    ({ adopted, stop } = postgres);
  }
  return {
    connectionOf(plane) {
      const url = planeDatabaseUrls[plane];
      if (url !== undefined) return parseDatabaseUrl(url);
      if (plane === 'migrate') return owner;
      return { ...owner, user: `tm_${plane}`, password: secrets.of(plane).databasePassword };
    },
    adopted,
    stop,
  };
}
