import { spawn } from 'node:child_process';

/** The operating-system user that Postgres runs as; undefined: our own. */
export interface Account {
  name: string;
  uid: number;
  gid: number;
}

export interface Outcome {
  /** Exit status; undefined when it could not be started or was killed. */
  status: number | undefined;
  stderr: string;
}

/**
 * Runs a program to its end and never rejects. Standard output is not a pipe: the daemon `pg_ctl` leaves behind inherits
 * it, and the pipe would never close. The working directory is `/` unless given, since ours may be closed to the account.
 */
export function run(
  program: string,
  args: readonly string[],
  account: Account | undefined,
  place: { cwd?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: place.cwd ?? '/',
      env: { LC_ALL: 'C', PATH: '/usr/local/bin:/usr/bin:/bin', ...place.env },
      stdio: ['ignore', 'ignore', 'pipe'],
      ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', (error) => resolve({ status: undefined, stderr: error.message }));
    child.once('close', (status) => resolve({ status: status ?? undefined, stderr: stderr.trim() }));
  });
}

/** True when the account can enter the directory; asked of the system itself, which knows about ACLs. */
export async function canEnter(directory: string, account: Account | undefined): Promise<boolean> {
  const { status } = await run('/bin/sh', ['-c', 'cd "$1"', 'sh', directory], account);
  return status === 0;
}
