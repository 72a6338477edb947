import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { encodeParts } from './fields.js';
import { KeyRing, type SealingKey } from './key-ring.js';

const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Setting up a key costs as much as using it: done once for each one that is held. */
const keyObjects = new WeakMap<Buffer, KeyObject>();

/**
 * AES-256-GCM under a random nonce. `key` has 32 bytes, of a ring the version in use; output: iv (12) | ciphertext | tag (16). Random nonces hold for
 * 2^32 values per key (NIST SP 800-38D 8.3), far above what one key seals here.
 */
export function seal(key: SealingKey, plain: Buffer, aad: Buffer): Buffer {
  const bytes = key instanceof KeyRing ? key.current.key : key;
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', keyObject(bytes), iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(aad);
  return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/**
 * Reverses `seal`; `internal` with code `sealBroken` for another key, other associated data or altered bytes. Of a ring, each
 * version is tried: the tag tells which one it was, so that nothing has to be stored beside the value.
 */
export function open(key: SealingKey, sealed: Buffer, aad: Buffer): Buffer {
  if (Buffer.isBuffer(key)) return openUnder(key, sealed, aad);
  const keys = key.keys;
  for (const one of keys.slice(0, -1)) {
    try {
      return openUnder(one, sealed, aad);
    } catch {
      // Sealed under another version, or not at all: the last one tells.
    }
  }
  return openUnder(keys.at(-1) ?? Buffer.alloc(0), sealed, aad);
}

function openUnder(key: Buffer, sealed: Buffer, aad: Buffer): Buffer {
  const opened = keyObject(key);
  if (sealed.length < IV_BYTES + TAG_BYTES) throw sealBroken();
  const decipher = createDecipheriv('aes-256-gcm', opened, sealed.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const plain = decipher.update(sealed.subarray(IV_BYTES, sealed.length - TAG_BYTES));
  try {
    decipher.final();
  } catch (cause) {
    plain.fill(0);
    throw sealBroken(cause);
  }
  return plain;
}

/**
 * A stored value under the version in use, whatever version it was sealed under: undefined where it is that one already.
 * Same errors as `open`.
 */
export function reseal(ring: KeyRing, sealed: Buffer, aad: Buffer): Buffer | undefined {
  try {
    openUnder(ring.current.key, sealed, aad).fill(0);
    return undefined;
  } catch {
    const plain = open(ring, sealed, aad);
    const renewed = seal(ring, plain, aad);
    plain.fill(0);
    return renewed;
  }
}

/**
 * Key (32 bytes) for a stored answer that carries a secret: HKDF-SHA-256 of the `Idempotency-Key` the caller sent, bound
 * to the caller (`principal`, its token id) and a random `salt` kept beside the answer. It is as strong as the
 * Idempotency-Key is unguessable, hence the short life of such answers.
 */
export function answerKey(idempotencyKey: string, principal: string, salt: Buffer): Buffer {
  const info = encodeParts(['touchmark:answer', principal]);
  return Buffer.from(hkdfSync('sha256', encodeParts([idempotencyKey]), salt, info, KEY_BYTES));
}

/** What every failure to open says, whatever was wrong: the difference would only serve who tampers. */
export function sealBroken(cause?: unknown): AuthorityError {
  const detail = 'A sealed value does not open: its key, its row or its bytes are not the ones it was sealed with';
  return new AuthorityError('internal', detail, { code: 'sealBroken', cause });
}

function keyObject(key: Buffer): KeyObject {
  if (key.length !== KEY_BYTES) throw new AuthorityError('internal', `A sealing key has 32 bytes, not ${key.length}`);
  const known = keyObjects.get(key);
  if (known) return known;
  const made = createSecretKey(key);
  keyObjects.set(key, made);
  return made;
}
