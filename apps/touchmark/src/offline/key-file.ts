import { createHash, randomBytes, scryptSync, type KeyObject } from 'node:crypto';
import { open, seal, sealContext } from '#credential';
import { AuthorityError, isAuthorityError } from '#kernel';
import { encodePrivateKey, readPrivateKey, type SubjectPublicKey } from '#pki';

/** scrypt as RFC 7914 names its parameters: 128 MiB and about half a second for each guess. */
const COST = { N: 131_072, r: 8, p: 1 };
const LEAST_PASSPHRASE = 12;

interface KeyFile {
  version: 1;
  kdf: 'scrypt';
  N: number;
  r: number;
  p: number;
  /** base64. */
  salt: string;
  /** PKCS#8 under AES-256-GCM, bound to the public key; base64. */
  sealed: string;
}

/** Text of `root.key`. Throws `invalid` for a passphrase of less than 12 characters. */
export function sealKey(privateKey: KeyObject, publicKey: SubjectPublicKey, passphrase: string): string {
  if (passphrase.length < LEAST_PASSPHRASE) {
    throw new AuthorityError('invalid', `the passphrase must have ${LEAST_PASSPHRASE} characters or more`);
  }
  const salt = randomBytes(32);
  const plain = encodePrivateKey(privateKey);
  const sealed = seal(derive(passphrase, salt, COST), plain, contextOf(publicKey));
  plain.fill(0);
  const file: KeyFile = {
    version: 1,
    kdf: 'scrypt',
    ...COST,
    salt: salt.toString('base64'),
    sealed: sealed.toString('base64'),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/** Throws `forbidden` for a wrong passphrase, or for a file that is not the key of this root. */
export function openKey(text: string, publicKey: SubjectPublicKey, passphrase: string): KeyObject {
  const file = readKeyFile(text);
  const key = derive(passphrase, Buffer.from(file.salt, 'base64'), file);
  try {
    const plain = open(key, Buffer.from(file.sealed, 'base64'), contextOf(publicKey));
    const privateKey = readPrivateKey(plain);
    plain.fill(0);
    return privateKey;
  } catch (error) {
    if (!isAuthorityError(error, 'internal')) throw error;
    throw new AuthorityError('forbidden', 'the passphrase is wrong, or root.key is not the key of root.pem');
  }
}

function readKeyFile(text: string): KeyFile {
  const { version, kdf, N, r, p, salt, sealed } = JSON.parse(text) as Partial<KeyFile>;
  const known = version === 1 && kdf === 'scrypt' && salt !== undefined && sealed !== undefined;
  if (!known || N !== COST.N || r !== COST.r || p !== COST.p) {
    throw new AuthorityError('invalid', 'root.key has a form that this release does not know');
  }
  return { version, kdf, N, r, p, salt, sealed };
}

function derive(passphrase: string, salt: Buffer, { N, r, p }: { N: number; r: number; p: number }): Buffer {
  return scryptSync(passphrase.normalize('NFC'), salt, 32, { N, r, p, maxmem: 256 * N * r });
}

const contextOf = ({ spki }: SubjectPublicKey): Buffer =>
  sealContext('offline-root', { spkiSha256: createHash('sha256').update(spki).digest('hex') });
