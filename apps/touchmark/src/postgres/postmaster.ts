import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { run, type Account } from './run.js';

/** What a running server wrote into `postmaster.pid` (src/include/utils/pidfile.h: lines 1, 4 and 5). */
export interface Postmaster {
  pid: number;
  port: number;
  socketDirectory: string;
}

/** undefined while there is no such file, or the server has not written all of it yet. */
export async function readPostmaster(dataDirectory: string): Promise<Postmaster | undefined> {
  const text = await readFile(path.join(dataDirectory, 'postmaster.pid'), 'utf8').catch(() => '');
  const [pid, , , port, socketDirectory] = text.split('\n');
  if (
    !/^\d+$/.test(pid ?? '') ||
    !/^\d+$/.test(port ?? '') ||
    socketDirectory === undefined ||
    socketDirectory === ''
  ) {
    return undefined;
  }
  return { pid: Number(pid), port: Number(port), socketDirectory };
}

/** Exit 3: somebody works there. The first test proves that this shell can see such a thing at all. */
const FIND_WORKERS = `
cd "$1" && [ /proc/$$/cwd -ef . ] || exit 2
for process in /proc/[0-9]*; do
  [ "$process" != /proc/$$ ] && [ "$process/cwd" -ef . ] && exit 3
done
exit 0`;

/**
 * True unless it is certain that no process works on the data directory: then `postmaster.pid` is a left-over, of a
 * zombie nobody reaps or of a number that another process has by now. Each Postgres process has the directory as its
 * working directory, from before it writes that file to its end, and a zombie has none. Asked as the account itself, as
 * even root may not look into others' processes (a container without CAP_SYS_PTRACE). Without /proc: true.
 */
export async function mayBeInUse(dataDirectory: string, account: Account | undefined): Promise<boolean> {
  return (await run('/bin/sh', ['-c', FIND_WORKERS, 'sh', dataDirectory], account)).status !== 0;
}

/**
 * Removes the files that keep two servers from the same data and the same socket, both with the number of the process.
 * Only after `mayBeInUse` said no.
 */
export async function removeLockFiles(dataDirectory: string): Promise<void> {
  const postmaster = await readPostmaster(dataDirectory);
  if (postmaster !== undefined) {
    const { socketDirectory, port } = postmaster;
    await rm(path.join(socketDirectory, `.s.PGSQL.${port}.lock`), { force: true });
  }
  await rm(path.join(dataDirectory, 'postmaster.pid'), { force: true });
}
