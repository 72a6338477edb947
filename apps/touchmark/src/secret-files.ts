import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { makeBoxKeys } from '#credential';
import { AuthorityError } from '#kernel';

/** Names of files that hold 32 random bytes in one line of base64. */
export const SYMMETRIC_KEYS = [
  'ca.kek',
  'ocsp.kek',
  'feed.kek',
  'audit.kek',
  'api.kek',
  'status.mac',
  'signer.auth',
] as const;
export const DATABASE_ROLES = ['api', 'est', 'responder', 'worker', 'signer'] as const;
export const TLS_PLANES = ['est', 'api'] as const;

/** What is sealed or made with these is lost with them: a new file beside old data would hide that. */
const LASTING = [
  ...SYMMETRIC_KEYS.filter((name) => name !== 'signer.auth'),
  'pepper',
  'roots.pub',
  'roots.key',
  'db-superuser',
];

/**
 * Makes each file that is missing, `ca.kek` in a directory of its own where one is named. With `existingData`, a missing file
 * that the data depend on is an error instead.
 */
export function createSecretFiles(directory: string, existingData: boolean, caDirectory = directory): void {
  for (const one of new Set([directory, caDirectory])) {
    if (mkdirSync(one, { recursive: true, mode: 0o700 }) !== undefined) chmodSync(one, 0o700);
    requirePrivate(one);
  }
  const placeOf = (name: string) => (name === 'ca.kek' ? caDirectory : directory);
  const lost = LASTING.find((name) => !existsSync(path.join(placeOf(name), name)));
  if (existingData && lost !== undefined) {
    throw new AuthorityError(
      'unavailable',
      `${path.join(placeOf(lost), lost)} is missing, and existing data depend on it: restore it from where it was kept.`,
    );
  }
  for (const name of SYMMETRIC_KEYS) createFile(placeOf(name), name, () => randomBytes(32).toString('base64'));
  createFile(directory, 'pepper', () => `1:${randomBytes(32).toString('base64')}`);
  createBoxKeys(directory, 'roots');
  // Younger than other data: an instance that has none yet gets them. Without them devices register their keys anew.
  createBoxKeys(directory, 'transport');
  for (const role of [...DATABASE_ROLES, 'superuser']) {
    createFile(directory, `db-${role}`, () => randomBytes(32).toString('base64url'));
  }
  for (const plane of TLS_PLANES) createFile(directory, `tls-${plane}.key`, newTlsKey);
  for (const one of new Set([directory, caDirectory])) {
    const handle = openSync(one, 'r');
    fsyncSync(handle);
    closeSync(handle);
  }
}

/** The two belong together: the public one is written last, and again whenever the private one is new. */
function createBoxKeys(directory: string, name: 'roots' | 'transport'): void {
  const publicFile = path.join(directory, `${name}.pub`);
  const privateFile = path.join(directory, `${name}.key`);
  if (existsSync(publicFile) && existsSync(privateFile)) return;
  rmSync(publicFile, { force: true });
  rmSync(privateFile, { force: true });
  const { publicKey, privateKey } = makeBoxKeys();
  createFile(directory, `${name}.key`, () => privateKey.toString('base64'));
  createFile(directory, `${name}.pub`, () => publicKey.toString('base64'));
}

function newTlsKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ format: 'pem', type: 'pkcs8' }).toString().trim();
}

/** Appears whole or not at all, and never replaces a file: `link` refuses a name that is taken. */
function createFile(directory: string, name: string, content: () => string): void {
  const file = path.join(directory, name);
  if (existsSync(file)) return;
  const partial = path.join(directory, `.${name}.${randomBytes(6).toString('hex')}`);
  try {
    const handle = openSync(partial, 'wx', 0o600);
    try {
      fchmodSync(handle, 0o600);
      writeFileSync(handle, `${content()}\n`);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    linkSync(partial, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(partial, { force: true });
  }
}

/** 32 bytes out of one base64 line. */
export function readKey(directory: string, name: string, plane: string): Buffer {
  return keyBytes(readText(directory, name, plane), path.join(directory, name));
}

/** PEM (PKCS#8), checked to be readable. */
export function readTlsKey(directory: string, plane: 'api' | 'est'): string {
  const pem = readText(directory, `tls-${plane}.key`, plane);
  try {
    createPrivateKey(pem);
  } catch (cause) {
    const file = path.join(directory, `tls-${plane}.key`);
    throw new AuthorityError('invalid', `${file} is not a private key in PEM (PKCS#8).`, { cause });
  }
  return `${pem}\n`;
}

/** The text without its final line end; refused where others than the owner may read it. */
export function readText(directory: string, name: string, plane: string): string {
  const file = path.join(directory, name);
  requirePrivate(file, plane);
  const text = readFileSync(file, 'utf8').trim();
  if (text === '') throw new AuthorityError('invalid', `${file} is empty: restore it from where it was kept.`);
  return text;
}

/** Throws in one line where the file is missing or open to others. */
export function requirePrivate(file: string, plane?: string): void {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) {
    throw new AuthorityError(
      'unavailable',
      `${file} is missing${plane === undefined ? '' : `, which the ${plane} plane needs`}: put it there, or make it with "touchmark init".`,
    );
  }
  // Modes mean nothing on Windows.
  if (process.platform === 'win32' || (found.mode & 0o077) === 0) return;
  const mode = found.isDirectory() ? '0700' : '0600';
  throw new AuthorityError('invalid', `${file} is open to other users: run chmod ${mode} '${file}'.`);
}

/** 32 bytes out of base64; `file` is for the error. */
export function keyBytes(base64: string, file: string): Buffer {
  const bytes = Buffer.from(base64, 'base64');
  // Decoding skips what is not base64: only a text that comes back the same was whole.
  if (bytes.length !== 32 || bytes.toString('base64') !== base64) {
    throw new AuthorityError('invalid', `${file} does not hold 32 bytes in base64: restore it from where it was kept.`);
  }
  return bytes;
}
