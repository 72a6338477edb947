import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from 'pino';
import type { KeyRing } from '#credential';
import { parseVersions } from './key-versions.js';
import { requirePrivate } from './secret-files.js';
import type { Secrets } from './secrets.js';

/** Asked for rather than watched: notification fails on some file systems, and where a directory is mounted. */
export const SECRETS_POLL_MS = 1000;

/**
 * Takes new versions of keys into the running process: each second, each file that was opened is read again when it was
 * replaced. What cannot be read is logged and changes nothing. Returns the end of it.
 */
export function watchSecrets({ rings }: Pick<Secrets, 'rings'>, log: Logger): () => void {
  const known = new Map([...rings.keys()].map((file) => [file, stampOf(file)]));
  const timer = setInterval(() => {
    for (const [file, ring] of rings) {
      const stamp = stampOf(file);
      if (stamp === undefined || stamp === known.get(file)) continue;
      known.set(file, stamp);
      takeIn(file, ring, log);
    }
  }, SECRETS_POLL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function takeIn(file: string, ring: KeyRing, log: Logger): void {
  try {
    requirePrivate(file);
    ring.replace(parseVersions(readFileSync(file, 'utf8').trim(), file));
    const versions = [...ring.byVersion.values()].map(({ version, next }) =>
      next === true ? `${version} (next)` : version,
    );
    log.info(
      { file: path.basename(file), inUse: ring.current.version, versions },
      'the versions of a key have changed',
    );
  } catch (err) {
    log.error({ err, file: path.basename(file) }, 'a changed secret file cannot be used; what was read before stays');
  }
}

function stampOf(file: string): string | undefined {
  const found = statSync(file, { throwIfNoEntry: false });
  return found && `${found.ino} ${found.mtimeMs} ${found.size}`;
}
