import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { encodeParts } from './fields.js';
import { open, seal, sealBroken } from './seal.js';

const RAW_KEY_BYTES = 32;
/** RFC 8410 sections 4 and 7: SubjectPublicKeyInfo and PrivateKeyInfo of X25519, up to the 32 key bytes. */
const SPKI_HEAD = Buffer.from('302a300506032b656e032100', 'hex');
const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** X25519 keys, raw: 32 bytes each. */
export function makeBoxKeys(): { publicKey: Buffer; privateKey: Buffer } {
  const pair = generateKeyPairSync('x25519');
  const privateDer = pair.privateKey.export({ type: 'pkcs8', format: 'der' });
  return { publicKey: rawPublicKey(pair.publicKey), privateKey: privateDer.subarray(PKCS8_HEAD.length) };
}

/**
 * Seals to the holder of a private key; who seals cannot open. Ephemeral X25519, HKDF-SHA-256 over both public keys,
 * AES-256-GCM with `aad`. Output: ephemeral public key (32) | iv (12) | ciphertext | tag (16).
 */
export function sealToBox(publicKey: Buffer, plain: Buffer, aad: Buffer): Buffer {
  const recipient = readPublicKey(publicKey);
  const ephemeral = generateKeyPairSync('x25519');
  const ephemeralRaw = rawPublicKey(ephemeral.publicKey);
  const key = boxKey(ephemeral.privateKey, recipient, ephemeralRaw, publicKey);
  return Buffer.concat([ephemeralRaw, seal(key, plain, aad)]);
}

/** Reverses `sealToBox`; `internal` with code `sealBroken` for another key, other associated data or altered bytes. */
export function openBox(privateKey: Buffer, sealed: Buffer, aad: Buffer): Buffer {
  if (privateKey.length !== RAW_KEY_BYTES) throw wrongKeySize(privateKey);
  if (sealed.length < RAW_KEY_BYTES) throw sealBroken();
  const own = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, privateKey]), format: 'der', type: 'pkcs8' });
  const ephemeralRaw = sealed.subarray(0, RAW_KEY_BYTES);
  const key = boxKey(own, readPublicKey(ephemeralRaw), ephemeralRaw, rawPublicKey(createPublicKey(own)));
  return open(key, sealed.subarray(RAW_KEY_BYTES), aad);
}

function boxKey(own: KeyObject, other: KeyObject, ephemeralRaw: Buffer, recipientRaw: Buffer): Buffer {
  const info = encodeParts(['touchmark:box', ephemeralRaw, recipientRaw]);
  try {
    return Buffer.from(hkdfSync('sha256', diffieHellman({ privateKey: own, publicKey: other }), '', info, 32));
  } catch (cause) {
    // A point of low order gives an all-zero secret, which is refused (RFC 7748 section 6.1).
    throw sealBroken(cause);
  }
}

function readPublicKey(raw: Buffer): KeyObject {
  if (raw.length !== RAW_KEY_BYTES) throw wrongKeySize(raw);
  return createPublicKey({ key: Buffer.concat([SPKI_HEAD, raw]), format: 'der', type: 'spki' });
}

function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' }).subarray(SPKI_HEAD.length);
}

function wrongKeySize(raw: Buffer): AuthorityError {
  return new AuthorityError('internal', `A box key has 32 bytes, not ${raw.length}`);
}
