import { chmod, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import path from 'node:path';

/**
 * Makes the instance's directory: 0711, so that the user Postgres runs as can pass through to `pg/` and nobody can list
 * it. An existing directory only gains what is missing, since it may be somebody's own.
 */
export async function prepareHome(home: string): Promise<void> {
  const created = await mkdir(home, { recursive: true, mode: 0o711 });
  const { mode, uid } = await stat(home);
  if (created !== undefined) await chmod(home, 0o711);
  else if ((mode & 0o011) !== 0o011 && uid === process.getuid?.()) await chmod(home, (mode & 0o777) | 0o011);
}

/** Replaces `file` as a whole or not at all, also across a power cut. */
export async function replaceFile(file: string, content: string, mode: number): Promise<void> {
  const partial = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    const handle = await open(partial, 'wx', mode);
    try {
      await handle.writeFile(content);
      await handle.chmod(mode);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
  await syncDirectory(path.dirname(file));
}

/** Makes a name that was just created, renamed or removed in the directory durable. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
