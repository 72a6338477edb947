import path from 'node:path';
import { KeyRing, type KeyVersion } from '#credential';
import { AuthorityError, isAuthorityError } from '#kernel';
import { keyBytes, readText } from './secret-files.js';

/** Files that may hold several versions of their key. */
export const VERSIONED = ['ca.kek', 'ocsp.kek', 'feed.kek', 'audit.kek', 'api.kek', 'pepper', 'signer.auth'] as const;
export type VersionedSecret = (typeof VERSIONED)[number];

/**
 * One line per version: `<version>:<base64 of 32 bytes>`, with `:next` behind it while the version is only handed out. A
 * single line of base64 is version 1.
 */
export function parseVersions(text: string, file: string): KeyVersion[] {
  const lines = text.split('\n').map((line) => line.trim());
  const [only] = lines;
  if (lines.length === 1 && only !== undefined && !only.includes(':'))
    return [{ version: 1, key: keyBytes(only, file) }];
  return lines.map((line) => {
    const [, version, base64, next] = /^([1-9]\d{0,8}):([^:\s]+)(:next)?$/.exec(line) ?? [];
    if (version === undefined || base64 === undefined) {
      throw new AuthorityError('invalid', `${file}: each line is <version>:<base64 of 32 bytes>, each version once.`);
    }
    return { version: Number(version), key: keyBytes(base64, file), ...(next === undefined ? {} : { next: true }) };
  });
}

export function formatVersions(versions: readonly KeyVersion[]): string {
  return versions
    .map(({ version, key, next }) => `${version}:${key.toString('base64')}${next === true ? ':next' : ''}\n`)
    .join('');
}

export function readVersions(directory: string, name: string, plane: string): KeyVersion[] {
  return parseVersions(readText(directory, name, plane), path.join(directory, name));
}

/** The ring of a file as it is now. Same errors as for any secret file; one that names what is wrong with the versions. */
export function readRing(directory: string, name: string, plane: string): KeyRing {
  const versions = readVersions(directory, name, plane);
  try {
    return new KeyRing(versions);
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    throw new AuthorityError('invalid', `${path.join(directory, name)}: ${error.detail}.`);
  }
}
