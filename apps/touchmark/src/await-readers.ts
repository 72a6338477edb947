import { setTimeout as delay } from 'node:timers/promises';
import { AuthorityError } from '#kernel';
import { listSecretReaders, type Database, type SecretReader } from '#store';
import type { VersionedSecret } from './key-versions.js';
import { cell } from './output.js';

/** Whoever said nothing for so long has ended, or has no database and seals nothing. */
const HEARD_WITHIN_SECONDS = 30;
const ASK_EVERY_MS = 250;

/** What every running process is to have: `held`, it opens with the version; `used`, it seals under it. */
export interface Wanted {
  secret: VersionedSecret;
  version: number;
  as: 'held' | 'used';
}

/** Whom a rotation waits for. */
export interface Confirmations {
  running: SecretReader[];
  missing: SecretReader[];
}

export async function readConfirmations(database: Database, { secret, version, as }: Wanted): Promise<Confirmations> {
  const running = await database.single((tx) => listSecretReaders(tx, secret, HEARD_WITHIN_SECONDS));
  const has = (one: SecretReader) => (as === 'used' ? one.inUse === version : one.versions.includes(version));
  return { running, missing: running.filter((one) => !has(one)) };
}

/**
 * Until every running process that has the key says that it has the version. `say` hears how many have it, each time that this
 * changes. Throws `conflict` (code `notConfirmed`) that names those who have not after `seconds`.
 */
export async function awaitReaders(
  database: Database,
  wanted: Wanted,
  seconds: number,
  say: (text: string) => unknown,
): Promise<void> {
  let said = '';
  for (let waited = 0; ; waited += ASK_EVERY_MS) {
    const { running, missing } = await readConfirmations(database, wanted);
    const have = running.length - missing.length;
    const text = `${have} of ${running.length} running processes have version ${wanted.version}${wanted.as === 'used' ? ' in use' : ''}`;
    if (text !== said) say(text);
    said = text;
    if (missing.length === 0) return;
    if (waited >= seconds * 1000) throw notConfirmed(wanted, missing);
    await delay(ASK_EVERY_MS);
  }
}

export function notConfirmed({ secret, version, as }: Wanted, missing: readonly SecretReader[]): AuthorityError {
  const who = missing.map(({ host, pid, role, inUse, versions }) =>
    as === 'used'
      ? `${cell(host)} pid ${pid} (${role}, seals under ${inUse})`
      : `${cell(host)} pid ${pid} (${role}, has ${versions.join(', ')})`,
  );
  return new AuthorityError(
    'conflict',
    `${secret}: these processes do not say that they have version ${version}${as === 'used' ? ' in use' : ''}: ${who.join('; ')}. ` +
      'Nothing was undone. See that the file is where they read it and what they log about it, or end them; ' +
      (as === 'used' ? 'then go on with --step rewrap.' : 'then do the same again.'),
    { code: 'notConfirmed' },
  );
}
