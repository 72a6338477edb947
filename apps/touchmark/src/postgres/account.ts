import { readFile, stat } from 'node:fs/promises';
import { AuthorityError } from '#kernel';
import type { Account } from './run.js';

/**
 * Postgres refuses to run as root. Then it gets the owner of an existing data directory, else the user `postgres`, else
 * `nobody`, else any other: `initdb` looks its user up, so a bare number would not do. Not root: undefined, our own user.
 */
export async function databaseAccount(dataDirectory: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = parsePasswd(await readFile('/etc/passwd', 'utf8'));
  const owner = await stat(dataDirectory).catch(() => undefined);
  if (owner !== undefined && owner.uid !== 0) {
    return accounts.find(({ uid }) => uid === owner.uid) ?? { name: String(owner.uid), uid: owner.uid, gid: owner.gid };
  }
  const account = unprivilegedAccount(accounts);
  if (account === undefined) {
    throw new AuthorityError(
      'unavailable',
      'Postgres does not run as root and /etc/passwd has no other user: add one named postgres, or set DATABASE_URL.',
    );
  }
  return account;
}

/** The user to run Postgres as, out of those the system has. */
export function unprivilegedAccount(accounts: readonly Account[]): Account | undefined {
  const others = accounts.filter(({ uid }) => uid !== 0);
  for (const name of ['postgres', '_postgres', 'nobody']) {
    const account = others.find((candidate) => candidate.name === name);
    if (account !== undefined) return account;
  }
  return others[0];
}

/** The users in the text of `/etc/passwd`; lines of another form are passed over. */
export function parsePasswd(text: string): Account[] {
  return text.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    if (name === undefined || !/^\d+$/.test(uid ?? '') || !/^\d+$/.test(gid ?? '')) return [];
    return [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}
