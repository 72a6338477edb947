/* The signer as a child of `serve`. Its settings are those of its parent; where an embedded database is, the parent tells. */
import { loadConfig, type Config } from '#kernel';
import { parseDatabaseUrl, type DatabaseConnection } from '#store';
import { openDatabaseServer, type DatabaseServer } from './database-server.js';
import { createLogger } from './log.js';
import { openSecrets, type Secrets } from './secrets.js';
import { LISTENING, type DatabasePlace } from './signer-child.js';
import { startSigner } from './start-signer.js';
import { listenForStop } from './stop-signal.js';
import { watchSecrets } from './watch-secrets.js';

const config = loadConfig();
const log = createLogger({ level: config.logLevel, production: config.production });
const stop = listenForStop(log, () => undefined);
// Whoever started it is gone: so is whoever would stop it.
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));

const place = await new Promise<Partial<DatabasePlace>>((resolve) =>
  process.once('message', (told) => resolve(told as Partial<DatabasePlace>)),
);
try {
  const secrets = openSecrets(config, ['signer', 'signerService'], { create: false });
  const endWatch = watchSecrets(secrets, log);
  const signer = await startSigner({ config, secrets, server: await serverAt(place, config, secrets), log });
  process.send?.(LISTENING);
  await stop.requested;
  endWatch();
  await signer.stop();
  process.exit(stop.status());
} catch (err) {
  log.fatal({ err }, 'the signer cannot start');
  process.exit(1);
}

async function serverAt(
  { host, port, database }: Partial<DatabasePlace>,
  { planeDatabaseUrls: { signer: url } }: Config,
  secrets: Secrets,
): Promise<DatabaseServer> {
  if (host === undefined || port === undefined || database === undefined) {
    return openDatabaseServer(config, secrets, log);
  }
  const { databasePassword: password } = secrets.of('signer');
  const own: DatabaseConnection = { host, port, database, user: 'tm_signer', password, ssl: false };
  const connection = url === undefined ? own : parseDatabaseUrl(url);
  return { connectionOf: () => connection, adopted: true, stop: () => Promise.resolve() };
}
