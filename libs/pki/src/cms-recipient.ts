import {
  constants,
  createCipheriv,
  createHash,
  diffieHellman,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
  type KeyObject,
} from 'node:crypto';
import { AuthorityError } from '#kernel';
import type { Certificate } from './certificate.js';
import { issuerAndSerial } from './cms-signed.js';
import { DerReader } from './der/read.js';
import { der } from './der/write.js';
import { keyAlgorithm } from './key-algorithm.js';
import { OID } from './oids.js';

/** Who can open an EnvelopedData. */
export type CmsRecipient =
  /** 16 or 32 bytes that both sides hold; `keyIdentifier` is how the recipient calls it. */
  | { kind: 'symmetric'; keyIdentifier: Buffer; key: Buffer }
  /** The holder of a certificate's key. */
  | { kind: 'certificate'; certificate: Certificate };

/** How the content key is wrapped: under a symmetric or an agreed key, or by RSA-OAEP, which needs no AES. */
export type KeyWrap = 'aes128-wrap' | 'aes256-wrap' | 'rsa-oaep';

const WRAPS: Readonly<Record<Exclude<KeyWrap, 'rsa-oaep'>, { oid: string; keyBytes: number }>> = {
  'aes128-wrap': { oid: OID.aes128Wrap, keyBytes: 16 },
  'aes256-wrap': { oid: OID.aes256Wrap, keyBytes: 32 },
};

/** RFC 3394 section 2.2.3.1. */
const WRAP_IV = Buffer.alloc(8, 0xa6);

const SHA256 = der.sequence(der.oid(OID.sha256));
/** RSAES-OAEP with SHA-256 throughout (RFC 4055 section 4.1). */
const OAEP_SHA256 = der.sequence(
  der.oid(OID.rsaesOaep),
  der.sequence(der.constructed(0, SHA256), der.constructed(1, der.sequence(der.oid(OID.mgf1), SHA256))),
);

/** By curve: ephemeral-static ECDH with the KDF of X9.63 over the hash of the curve's strength (RFC 5753 section 7.1.4). */
const AGREEMENTS = {
  'ec-p256': { curve: 'P-256', oid: OID.ecdhSha256Kdf, hash: 'sha256' },
  'ec-p384': { curve: 'P-384', oid: OID.ecdhSha384Kdf, hash: 'sha384' },
  'ec-p521': { curve: 'P-521', oid: OID.ecdhSha512Kdf, hash: 'sha512' },
} as const;

/**
 * The RecipientInfo of a content key (RFC 5652 section 6.2): kekri, ktri or kari by the kind of key, and the version that the
 * EnvelopedData has with it. Throws `invalid`, code `unusableKey`, where key and wrap do not fit.
 */
export function encodeRecipient(
  recipient: CmsRecipient,
  wrap: KeyWrap,
  contentKey: Buffer,
): { recipientInfo: Buffer; version: number } {
  if (recipient.kind === 'symmetric') {
    return { recipientInfo: keyEncryptionKey(recipient, wrap, contentKey), version: 2 };
  }
  const { certificate } = recipient;
  const { keyType } = certificate.publicKey;
  switch (keyType) {
    case 'rsa-2048':
    case 'rsa-3072':
    case 'rsa-4096':
    case 'rsa-other':
      if (wrap !== 'rsa-oaep') throw unusable('an RSA key takes RSAES-OAEP');
      return { recipientInfo: keyTransport(certificate, contentKey), version: 0 };
    case 'ec-p256':
    case 'ec-p384':
    case 'ec-p521':
      return { recipientInfo: keyAgreement(certificate, AGREEMENTS[keyType], wrap, contentKey), version: 2 };
    default:
      throw unusable(`nothing can be encrypted to a key of type ${keyType}`);
  }
}

/** KEKRecipientInfo, version 4 (section 6.2.3). */
function keyEncryptionKey(
  { keyIdentifier, key }: { keyIdentifier: Buffer; key: Buffer },
  wrap: KeyWrap,
  contentKey: Buffer,
): Buffer {
  return der.constructed(
    2,
    der.integer(4),
    der.sequence(der.octetString(keyIdentifier)),
    der.sequence(der.oid(wrapOf(wrap).oid)),
    der.octetString(wrapKey(wrap, key, contentKey)),
  );
}

/** KeyTransRecipientInfo, version 0 (section 6.2.1). */
function keyTransport(certificate: Certificate, contentKey: Buffer): Buffer {
  const encrypted = publicEncrypt(
    { key: certificate.publicKey.keyObject, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
    contentKey,
  );
  return der.sequence(der.integer(0), issuerAndSerial(certificate), OAEP_SHA256, der.octetString(encrypted));
}

/** KeyAgreeRecipientInfo, version 3 (section 6.2.2, RFC 5753 section 3.1.1), with a key of ours for this one message. */
function keyAgreement(
  certificate: Certificate,
  agreement: (typeof AGREEMENTS)[keyof typeof AGREEMENTS],
  wrap: KeyWrap,
  contentKey: Buffer,
): Buffer {
  const { oid, keyBytes } = wrapOf(wrap);
  const wrapAlgorithm = der.sequence(der.oid(oid));
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: agreement.curve });
  const secret = diffieHellman({ privateKey, publicKey: certificate.publicKey.keyObject });
  // Not needed with an ephemeral key, yet some cannot read a message without it.
  const ukm = der.octetString(randomBytes(32));
  const key = deriveKey(
    agreement.hash,
    secret,
    keyBytes,
    der.sequence(wrapAlgorithm, der.constructed(0, ukm), keySize(keyBytes)),
  );
  return der.constructed(
    1,
    der.integer(3),
    der.constructed(0, der.constructed(1, ...originator(certificate, publicKey))),
    der.constructed(1, ukm),
    der.sequence(der.oid(agreement.oid), wrapAlgorithm),
    der.sequence(der.sequence(issuerAndSerial(certificate), der.octetString(wrapKey(wrap, key, contentKey)))),
  );
}

/** OriginatorPublicKey, with the curve of the recipient's key (RFC 5753 section 7.1.2). */
function originator({ publicKey: { keyType } }: Certificate, ephemeral: KeyObject): Buffer[] {
  const spki = DerReader.openSequence(ephemeral.export({ type: 'spki', format: 'der' }), 'public key');
  spki.skip();
  return [keyAlgorithm(keyType).der, spki.element()];
}

/** suppPubInfo of the ECC-CMS-SharedInfo of RFC 5753 section 7.2: the size of the wrapping key in bits. */
function keySize(keyBytes: number): Buffer {
  const bits = Buffer.alloc(4);
  bits.writeUInt32BE(keyBytes * 8);
  return der.constructed(2, der.octetString(bits));
}

/** ANSI X9.63; one round of the hash is enough for every size of key. */
function deriveKey(digest: string, secret: Buffer, keyBytes: number, sharedInfo: Buffer): Buffer {
  const counter = Buffer.from([0, 0, 0, 1]);
  const key = createHash(digest).update(secret).update(counter).update(sharedInfo).digest();
  secret.fill(0);
  return key.subarray(0, keyBytes);
}

function wrapKey(wrap: KeyWrap, key: Buffer, contentKey: Buffer): Buffer {
  const { keyBytes } = wrapOf(wrap);
  if (key.length !== keyBytes) throw unusable(`${wrap} takes a key of ${keyBytes} octets`);
  const cipher = createCipheriv(`id-${wrap}`, key, WRAP_IV);
  return Buffer.concat([cipher.update(contentKey), cipher.final()]);
}

function wrapOf(wrap: KeyWrap): { oid: string; keyBytes: number } {
  if (wrap === 'rsa-oaep') throw unusable('RSAES-OAEP takes an RSA key');
  return WRAPS[wrap];
}

const unusable = (why: string): AuthorityError =>
  new AuthorityError('invalid', `the key to encrypt to cannot be used: ${why}`, { code: 'unusableKey' });
