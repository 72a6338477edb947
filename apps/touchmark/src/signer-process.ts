/* The signer as a child of `serve`. Its settings are those of its parent; where an embedded database is, the parent tells. */
import { loadConfig, type Config } from '#kernel';
import { parseDatabaseUrl, type DatabaseConnection } from '#store';
import { openDatabaseServer, type DatabaseServer } from './database-server.js';
import { createLogger } from './log.js';
import { openSecrets, type Secrets } from './secrets.js';
import { startReport } from './report-secrets.js';
import { LISTENING, STOP, type DatabasePlace } from './signer-child.js';
import { startSigner } from './start-signer.js';
import { watchSecrets } from './watch-secrets.js';

const config = loadConfig();
const log = createLogger({ level: config.logLevel, production: config.production });
const HARD_LIMIT_MS = 10_000;

/** Asked by its parent, or left by it. */
const stop = new Promise<void>((resolve) => {
  process.on('disconnect', resolve);
  process.on('message', (told) => told === STOP && resolve());
});
// Ctrl-C and a service manager reach the whole group: the planes of the parent still sign while they end.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => undefined);

const place = await new Promise<Partial<DatabasePlace>>((resolve) =>
  process.once('message', (told) => resolve(told as Partial<DatabasePlace>)),
);
try {
  const secrets = openSecrets(config, ['signer', 'signerService'], { create: false });
  const endWatch = watchSecrets(secrets, log);
  const server = await serverAt(place, config, secrets);
  const signer = await startSigner({ config, secrets, server, log });
  const reporter = await startReport({ secrets, server, log }, 'signer');
  process.send?.(LISTENING);
  await stop;
  setTimeout(() => process.exit(1), HARD_LIMIT_MS).unref();
  endWatch();
  await reporter.stop();
  await signer.stop();
  process.exit(0);
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
