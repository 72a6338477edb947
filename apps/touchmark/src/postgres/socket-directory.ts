import { chown, lstat, mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { replaceFile } from '../home.js';
import type { Account } from './run.js';

/** Only a part of the socket's name: Postgres listens on no network address. */
export const SOCKET_PORT = 5432;

// sun_path holds 108 bytes on Linux and 104 elsewhere, with a closing zero byte.
const SOCKET_PATH_BYTES = process.platform === 'linux' ? 107 : 103;

/**
 * The directory of the socket: the data directory (0700), or, where the path would be too long for a socket address, a
 * short one of 0700 under the system's temporary directory, whose name is kept in `home/pg-socket`.
 */
export async function socketDirectory(
  home: string,
  dataDirectory: string,
  account: Account | undefined,
): Promise<string> {
  if (fitsSocketAddress(dataDirectory)) return dataDirectory;
  const note = path.join(home, 'pg-socket');
  const kept = (await readFile(note, 'utf8').catch(() => '')).trim();
  if (kept !== '' && (await isOurs(kept, account))) return kept;
  const directory = await mkdtemp(path.join(tmpdir(), 'tm-'));
  if (account !== undefined) await chown(directory, account.uid, account.gid);
  await replaceFile(note, `${directory}\n`, 0o600);
  return directory;
}

export function fitsSocketAddress(directory: string): boolean {
  return Buffer.byteLength(path.join(directory, `.s.PGSQL.${SOCKET_PORT}`)) <= SOCKET_PATH_BYTES;
}

/** A cleaned-up temporary directory may have been made again by somebody else: theirs is never used. */
async function isOurs(directory: string, account: Account | undefined): Promise<boolean> {
  const found = await lstat(directory).catch(() => undefined);
  const uid = account?.uid ?? process.getuid?.();
  return found !== undefined && found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0;
}
