import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { der } from './der/write.js';
import { OID } from './oids.js';
import { parsePublicKey, readPublicKey } from './public-key.js';
import { generateKey, SIGNING_KEY_TYPES } from './testing/issuing.js';

const { publicKey: p256 } = generateKey('ec-p256');
const point = (spki: Buffer): Buffer => spki.subarray(spki.length - 65);

describe('public keys', () => {
  it.each(SIGNING_KEY_TYPES)('of type %s are recognised', (keyType) => {
    expect(generateKey(keyType).publicKey.keyType).toBe(keyType);
  });

  it.each([
    ['ml-dsa-44', OID.mlDsa44, 1312],
    ['ml-dsa-65', OID.mlDsa65, 1952],
    ['ml-dsa-87', OID.mlDsa87, 2592],
    ['ml-kem-512', OID.mlKem512, 800],
    ['ml-kem-768', OID.mlKem768, 1184],
    ['ml-kem-1024', OID.mlKem1024, 1568],
  ] as const)('of type %s are their bare octets, without parameters (P50, P52)', (keyType, oid, octets) => {
    const { spki } = generateKey(keyType).publicKey;
    expect(spki).toHaveLength(22 + octets);
    const written = der.sequence(der.sequence(der.oid(oid)), der.bitString(spki.subarray(22)));
    expect(spki).toEqual(written);
    expect(readPublicKey(spki).keyType).toBe(keyType);
    const withNull = der.sequence(der.sequence(der.oid(oid), der.null()), der.bitString(spki.subarray(22)));
    expect(() => readPublicKey(withNull)).toThrow(expect.objectContaining({ kind: 'malformed' }));
  });

  it('have SHA-1 of the key bits as identifier and SHA-256 of the whole as fingerprint (RFC 5280 4.2.1.2)', () => {
    expect(p256.keyId).toEqual(createHash('sha1').update(point(p256.spki)).digest());
    expect(p256.sha256).toEqual(createHash('sha256').update(p256.spki).digest());
  });

  it('of unknown algorithms can be held without being opened', () => {
    const key = parsePublicKey(der.sequence(der.sequence(der.oid('1.2.3.4')), der.bitString(Buffer.alloc(9))));
    expect(key.keyType).toBe('unknown');
    expect(key.keyId).toHaveLength(20);
    expect(() => key.keyObject).toThrow(expect.objectContaining({ kind: 'malformed' }));
  });
});
