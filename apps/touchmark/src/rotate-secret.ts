import { randomBytes } from 'node:crypto';
import { chown, stat } from 'node:fs/promises';
import path from 'node:path';
import type { KeyVersion } from '#credential';
import { AuthorityError, systemClock, type Config } from '#kernel';
import { replaceFile } from './home.js';
import { formatVersions, readVersions, type VersionedSecret } from './key-versions.js';

/** A retired version must have been out of use for so long that nothing short-lived was made under it. */
const RETIRE_AFTER_SECONDS: Readonly<Record<VersionedSecret, number>> = {
  // Answers kept for repeated requests.
  pepper: 86_400,
  // Begun sign-ins.
  'api.kek': 3600,
  'ca.kek': 0,
  'ocsp.kek': 0,
  'feed.kek': 0,
  'audit.kek': 0,
  'signer.auth': 0,
};

export const secretFile = (config: Config, name: VersionedSecret): string =>
  path.join(name === 'ca.kek' ? config.caSecretsDir : config.secretsDir, name);

const readFileOf = (config: Config, name: VersionedSecret): KeyVersion[] =>
  readVersions(path.dirname(secretFile(config, name)), name, 'rotation');

/** Adds a version that everybody may open with and nobody seals under yet; one that is there already is that one. */
export async function stageVersion(config: Config, name: VersionedSecret): Promise<number> {
  const versions = readFileOf(config, name);
  const waiting = versions.find(({ next }) => next === true);
  if (waiting !== undefined) return waiting.version;
  const version = Math.max(...versions.map((one) => one.version)) + 1;
  await write(config, name, [...versions, { version, key: randomBytes(32), next: true }]);
  return version;
}

/** What was staged is sealed under from now on. */
export async function useVersion(config: Config, name: VersionedSecret): Promise<number> {
  const versions = readFileOf(config, name).map(({ version, key }) => ({ version, key }));
  await write(config, name, versions);
  return Math.max(...versions.map((one) => one.version));
}

/** Removes every version but the newest in use. What must be true of the stored values before is the caller's to see. */
export async function retireVersions(config: Config, name: VersionedSecret, force: boolean): Promise<number[]> {
  const versions = readFileOf(config, name);
  const inUse = Math.max(...versions.filter(({ next }) => next !== true).map((one) => one.version));
  const old = versions.filter((one) => one.version < inUse);
  if (old.length === 0) return [];
  const { mtimeMs } = await stat(secretFile(config, name));
  const wait = RETIRE_AFTER_SECONDS[name] - (systemClock.now().getTime() - mtimeMs) / 1000;
  if (wait > 0 && !force) {
    throw new AuthorityError(
      'conflict',
      `${name}: retire the old versions in ${Math.ceil(wait / 60)} minutes, not before`,
    );
  }
  await write(
    config,
    name,
    versions.filter((one) => one.version >= inUse),
  );
  return old.map((one) => one.version);
}

export interface ListedVersions {
  secret: VersionedSecret;
  inUse: number;
  next: number | null;
  old: number[];
}

export function listVersions(config: Config, name: VersionedSecret): ListedVersions {
  const versions = readFileOf(config, name);
  const usable = versions.filter(({ next }) => next !== true).map((one) => one.version);
  const inUse = Math.max(...usable);
  const next = versions.find((one) => one.next === true)?.version ?? null;
  return { secret: name, inUse, next, old: usable.filter((one) => one !== inUse) };
}

/** As a whole, for the same owner: the one that rotates may be root, the one that serves is not. */
async function write(config: Config, name: VersionedSecret, versions: readonly KeyVersion[]): Promise<void> {
  const file = secretFile(config, name);
  const { uid, gid } = await stat(file);
  await replaceFile(file, formatVersions(versions), 0o600);
  if (process.getuid?.() === 0) await chown(file, uid, gid);
}
