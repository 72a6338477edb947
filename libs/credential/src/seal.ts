import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { encodeParts } from './fields.js';

const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * AES-256-GCM under a random nonce. `key` has 32 bytes; output: iv (12) | ciphertext | tag (16). Random nonces hold for
 * 2^32 values per key (NIST SP 800-38D 8.3), far above what one key seals here.
 */
export function seal(key: Buffer, plain: Buffer, aad: Buffer): Buffer {
  checkKey(key);
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(aad);
  return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Reverses `seal`; `internal` with code `sealBroken` for another key, other associated data or altered bytes. */
export function open(key: Buffer, sealed: Buffer, aad: Buffer): Buffer {
  checkKey(key);
  if (sealed.length < IV_BYTES + TAG_BYTES) throw sealBroken();
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
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

function checkKey(key: Buffer): void {
  if (key.length !== KEY_BYTES) throw new AuthorityError('internal', `A sealing key has 32 bytes, not ${key.length}`);
}
