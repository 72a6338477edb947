import { randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  lstat,
  mkdtemp,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from 'pino';
import { addSeconds, AuthorityError, type Clock } from '#kernel';
import { syncDirectory } from '../home.js';
import type { Binaries } from './binaries.js';
import { canEnter, run, type Account } from './run.js';

export interface ClusterOptions {
  home: string;
  /** Of the superuser, as scram-sha-256. */
  password: string;
  account: Account | undefined;
  binaries: Binaries;
  clock: Clock;
  log: Logger;
}

/** Where a home that the account cannot enter keeps its data; `home/pg` then links there. */
const STATE_DIRECTORY = '/var/lib';

/** The real path of the instance's data directory (`home/pg`), made by `initdb` on first use. */
export async function openDataDirectory(options: ClusterOptions): Promise<string> {
  const { home, account } = options;
  const directory = path.join(home, 'pg');
  const found = await lstat(directory).catch(() => undefined);
  if (found === undefined || (found.isDirectory() && (await readdir(directory)).length === 0)) {
    return createDataDirectory(options, directory);
  }
  const real = await realpath(directory).catch(() => undefined);
  if (real === undefined) {
    throw new AuthorityError(
      'unavailable',
      `${directory} points to ${await readlink(directory)}, which is gone: restore it.`,
    );
  }
  if (!(await canEnter(real, account))) throw closed(real, account);
  if ((await stat(path.join(real, 'PG_VERSION')).catch(() => undefined)) === undefined) {
    throw new AuthorityError(
      'unavailable',
      `${real} holds files but no database: move it away, or set another TOUCHMARK_HOME.`,
    );
  }
  await removeLeftovers(home, options.clock);
  return real;
}

/** `initdb` beside its final place and a rename: a start killed half-way leaves nothing that looks like a database. */
async function createDataDirectory(options: ClusterOptions, directory: string): Promise<string> {
  const { home, account, log } = options;
  const open = await canEnter(home, account);
  const base = open ? home : await mkdtemp(path.join(STATE_DIRECTORY, 'touchmark-'));
  if (!open) {
    await chmod(base, 0o711);
    log.warn(
      { home, data: base, user: account?.name },
      'the database lies outside of its home, which its user cannot enter',
    );
  }
  const partial = await mkdtemp(path.join(base, 'pg.new-'));
  try {
    if (account !== undefined) await chown(partial, account.uid, account.gid);
    await initialise(options, base, partial);
    const target = path.join(base, 'pg');
    await rename(partial, target).catch(async (error: NodeJS.ErrnoException) => {
      // ENOTEMPTY, EEXIST: another start has finished first. Its database is the one.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    if (!open) await link(target, directory);
    await syncDirectory(base);
    await syncDirectory(home);
    return await realpath(directory);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

/** The home's `pg` leads to the data; where another start has put its own there first, ours goes. */
async function link(target: string, directory: string): Promise<void> {
  try {
    await symlink(target, directory);
  } catch (error) {
    await rm(path.dirname(target), { recursive: true, force: true });
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** What a start killed during `initdb` has left; one that goes on right now is younger. */
async function removeLeftovers(home: string, clock: Clock): Promise<void> {
  const old = addSeconds(clock.now(), -600);
  for (const name of await readdir(home)) {
    if (!name.startsWith('pg.new-') && !name.startsWith('.pw-')) continue;
    const file = path.join(home, name);
    const found = await stat(file).catch(() => undefined);
    if (found !== undefined && found.mtime < old) await rm(file, { recursive: true, force: true });
  }
}

async function initialise(
  { password, account, binaries }: ClusterOptions,
  base: string,
  directory: string,
): Promise<void> {
  const passwordFile = path.join(base, `.pw-${randomBytes(8).toString('hex')}`);
  try {
    await writeFile(passwordFile, `${password}\n`, { flag: 'wx', mode: 0o600 });
    if (account !== undefined) await chown(passwordFile, account.uid, account.gid);
    const { status, stderr } = await run(
      binaries.initdb,
      [
        ...['-D', directory, '-U', 'postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`],
        ...['--encoding=UTF8', '--locale=C', '--no-instructions'],
      ],
      account,
    );
    if (status !== 0) {
      throw new AuthorityError(
        'unavailable',
        `The embedded database could not be created in ${base}: ${lastLine(stderr)}. Free the cause, or set DATABASE_URL.`,
        { cause: stderr },
      );
    }
  } finally {
    await rm(passwordFile, { force: true });
  }
}

function closed(directory: string, account: Account | undefined): AuthorityError {
  return new AuthorityError(
    'unavailable',
    `Postgres runs as user ${account?.name ?? 'of this process'}, who cannot enter ${directory}: give it to that user, and let its parent directories be passed (chmod o+x).`,
  );
}

/** The last line of a program's error output, without its final stop; for a message of one line. */
export function lastLine(text: string): string {
  return (text.trim().split('\n').at(-1) ?? '').replace(/\.$/, '') || 'no reason given';
}
