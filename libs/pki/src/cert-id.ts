import { createHash } from 'node:crypto';
import { DerReader } from './der/read.js';
import { TAG } from './der/tags.js';
import { der } from './der/write.js';
import { OID } from './oids.js';
import type { SubjectPublicKey } from './public-key.js';

export type CertIdHash = 'sha1' | 'sha256' | 'sha384' | 'sha512';

/** CertID of RFC 6960 section 4.1.1. `serial`: lower-case hex of the INTEGER content, whatever its sign or length. */
export interface CertId {
  hash: CertIdHash;
  issuerNameHash: Buffer;
  issuerKeyHash: Buffer;
  serial: string;
  /** The CertID as it was received: an answer repeats these bytes (O21). */
  der: Buffer;
}

const HASH_OIDS = { sha1: OID.sha1, sha256: OID.sha256, sha384: OID.sha384, sha512: OID.sha512 } as const;
const HASHES_BY_OID: ReadonlyMap<string, CertIdHash> = new Map(
  Object.entries(HASH_OIDS).map(([hash, oid]) => [oid, hash as CertIdHash]),
);
const HASH_OCTETS = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 } as const;

/**
 * Reads the next element as a CertID. `undefined`: well formed, but under a hash that is none of ours (OX08). Throws
 * `malformed` for another structure and for hashes whose length is not their algorithm's (OX09).
 */
export function readCertId(reader: DerReader): CertId | undefined {
  const encoded = reader.peekElement();
  const fields = reader.sequence();
  const algorithm = fields.sequence();
  const hash = HASHES_BY_OID.get(algorithm.oid());
  if (algorithm.peekTag() === TAG.null) algorithm.null();
  else if (!algorithm.done && hash !== undefined) fields.fail('has parameters that its hash algorithm does not take');
  const issuerNameHash = fields.octetString();
  const issuerKeyHash = fields.octetString();
  const serial = fields.integer().toString('hex');
  fields.finish();
  if (hash === undefined) return undefined;
  if (issuerNameHash.length !== HASH_OCTETS[hash] || issuerKeyHash.length !== HASH_OCTETS[hash]) {
    fields.fail(`has a CertID whose hashes are not those of ${hash}`);
  }
  return { hash, issuerNameHash, issuerKeyHash, serial, der: encoded };
}

/**
 * The two hashes by which a CertID names an issuer: over its DER Name, and over the bits of its public key without tag,
 * length and unused-bits octet (O23, RFC 6960 section 4.1.1).
 */
export function issuerHashes(
  subjectDer: Buffer,
  key: SubjectPublicKey,
  hash: CertIdHash,
): { nameHash: Buffer; keyHash: Buffer } {
  const spki = DerReader.openSequence(key.spki, 'SubjectPublicKeyInfo');
  spki.skip();
  return {
    nameHash: createHash(hash).update(subjectDer).digest(),
    keyHash: createHash(hash).update(spki.wholeBitString()).digest(),
  };
}

/** The CertID of a certificate by its issuer and serial (hex). The algorithm carries NULL parameters, as OpenSSL sends them. */
export function makeCertId(hash: CertIdHash, subjectDer: Buffer, key: SubjectPublicKey, serial: string): CertId {
  const { nameHash, keyHash } = issuerHashes(subjectDer, key, hash);
  const encoded = der.sequence(
    der.sequence(der.oid(HASH_OIDS[hash]), der.null()),
    der.octetString(nameHash),
    der.octetString(keyHash),
    der.tagged(TAG.integer, Buffer.from(serial, 'hex')),
  );
  return { hash, issuerNameHash: nameHash, issuerKeyHash: keyHash, serial, der: encoded };
}
