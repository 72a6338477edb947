import { describe, expect, it } from '@jest/globals';
import { readKeyRequest } from './csr-keygen.js';
import { encodeAttribute, encodeCsr } from './csr-write.js';
import { der } from './der/write.js';
import { encodeName } from './name.js';
import { OID } from './oids.js';
import { commonName, generateKey } from './testing/issuing.js';

const keys = generateKey('ec-p256');
const request = (attributes: Buffer[] = []): Buffer =>
  encodeCsr({ subject: commonName('x'), publicKey: keys.publicKey, attributes }, keys.privateKey);
const keyId = (type: string, id: Buffer): Buffer => encodeAttribute(type, der.octetString(id));

describe('a request for a key that the server makes', () => {
  it('need not be signed rightly, nor hold a key at all: only its kind is read (E101)', () => {
    const broken = request();
    broken[broken.length - 1] = (broken.at(-1) as number) ^ 0xff;
    expect(readKeyRequest(broken)).toMatchObject({ subject: commonName('x'), wantedKeyType: 'ec-p256' });
    const algorithm = der.sequence(der.oid('1.2.3.4'));
    const info = der.sequence(
      der.integer(0),
      encodeName(commonName('x')),
      der.sequence(algorithm, der.bitString(Buffer.of(1, 2, 3))),
      der.constructed(0),
    );
    const odd = der.sequence(info, algorithm, der.bitString(Buffer.alloc(0)));
    expect(readKeyRequest(odd).wantedKeyType).toBe('unknown');
  });

  it('says to which key the answer is to be encrypted, and how (E105, E107)', () => {
    const capabilities = der.sequence(
      der.sequence(der.oid(OID.aes256Wrap)),
      der.sequence(der.oid(OID.rsaesOaep), der.null()),
    );
    const symmetric = readKeyRequest(
      request([
        keyId(OID.decryptKeyIdentifier, Buffer.from('key 7')),
        encodeAttribute(OID.smimeCapabilities, capabilities),
      ]),
    );
    expect(symmetric.decryptKeyId).toEqual(Buffer.from('key 7'));
    expect(symmetric.asymmetricDecryptKeyId).toBeUndefined();
    expect(symmetric.capabilities).toEqual([
      { oid: OID.aes256Wrap, parameters: undefined },
      { oid: OID.rsaesOaep, parameters: der.null() },
    ]);
    const asymmetric = readKeyRequest(request([keyId(OID.asymmetricDecryptKeyIdentifier, keys.publicKey.keyId)]));
    expect(asymmetric.asymmetricDecryptKeyId).toEqual(keys.publicKey.keyId);
    expect(asymmetric.capabilities).toBeUndefined();
  });

  it.each([
    ['an empty key identifier', keyId(OID.decryptKeyIdentifier, Buffer.alloc(0))],
    ['a key identifier of 65 octets', keyId(OID.decryptKeyIdentifier, Buffer.alloc(65))],
    ['a key identifier that is text', encodeAttribute(OID.decryptKeyIdentifier, der.utf8String('x'))],
    [
      'two key identifiers',
      der.sequence(
        der.oid(OID.decryptKeyIdentifier),
        der.setOf(der.octetString(Buffer.of(1)), der.octetString(Buffer.of(2))),
      ),
    ],
    ['capabilities that are no list', encodeAttribute(OID.smimeCapabilities, der.null())],
  ])('with %s is malformed', (_, attribute) => {
    expect(() => readKeyRequest(request([attribute]))).toThrow(expect.objectContaining({ kind: 'malformed' }));
  });
});
