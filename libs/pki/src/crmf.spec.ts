import { describe, expect, it } from '@jest/globals';
import { readCertReqMsg } from './crmf.js';
import { der } from './der/write.js';
import { encodeExtension } from './extension.js';
import { encodeGeneralNames, type GeneralName } from './general-name.js';
import { encodeName } from './name.js';
import { OID } from './oids.js';
import { signatureAlgorithm, signBytes } from './signature.js';
import { commonName, generateKey, SIGNING_KEY_TYPES, type KeyPair } from './testing/issuing.js';

const SAN: GeneralName[] = [{ type: 'uri', value: 'urn:uuid:6f1c2f0a-54d1-4c5e-9a55-0d6e8a3b9c11' }];

function certRequest(keys: KeyPair, more: Buffer[] = []): Buffer {
  const spki = Buffer.from(keys.publicKey.spki);
  spki[0] = 0xa6;
  const san = { oid: OID.subjectAltName, critical: false, value: encodeGeneralNames(SAN) };
  const template = der.sequence(
    ...more,
    der.constructed(5, encodeName(commonName('x'))),
    spki,
    der.constructed(9, encodeExtension(san)),
  );
  return der.sequence(der.integer(7), template);
}

function message(keys: KeyPair, request = certRequest(keys), signer = keys): Buffer {
  const { keyType } = signer.publicKey;
  const proof = der.constructed(
    1,
    signatureAlgorithm(keyType).der,
    der.bitString(signBytes(keyType, signer.privateKey, request)),
  );
  return der.sequence(request, proof);
}

describe('a CRMF request (RFC 4211)', () => {
  it.each(SIGNING_KEY_TYPES)('says what a PKCS#10 would say, with a key of type %s', (keyType) => {
    const keys = generateKey(keyType);
    const request = readCertReqMsg(message(keys));
    expect(request).toMatchObject({ subject: commonName('x'), san: SAN, challengePassword: undefined });
    expect(request.publicKey.spki).toEqual(keys.publicKey.spki);
  });

  it('signed by another key proves nothing', () => {
    const keys = generateKey('ec-p256');
    const forged = message(keys, certRequest(keys), generateKey('ec-p256'));
    expect(() => readCertReqMsg(forged)).toThrow(expect.objectContaining({ code: 'badSignature' }));
  });

  it('without a proof by signature, or with the word of an RA in its place, is refused', () => {
    const keys = generateKey('ec-p256');
    const popRequired = expect.objectContaining({ kind: 'invalid', code: 'popRequired' });
    expect(() => readCertReqMsg(der.sequence(certRequest(keys)))).toThrow(popRequired);
    const raVerified = der.sequence(certRequest(keys), der.primitive(0, Buffer.alloc(0)));
    expect(() => readCertReqMsg(raVerified)).toThrow(popRequired);
  });

  it('names no serial, issuer or validity: those are the authority’s', () => {
    const keys = generateKey('ec-p256');
    const serial = der.primitive(1, Buffer.of(5));
    expect(() => readCertReqMsg(message(keys, certRequest(keys, [serial])))).toThrow(/only an authority/);
  });

  it('with a weak key is refused', () => {
    const keys = generateKey('rsa-1024' as 'rsa-2048');
    expect(() => readCertReqMsg(message(keys))).toThrow(expect.objectContaining({ code: 'weakKey' }));
  });

  it('with any bit changed throws what a caller can act on, or reads no other key', () => {
    const keys = generateKey('ec-p256');
    const whole = message(keys);
    for (let at = 0; at < whole.length; at++) {
      const altered = Buffer.from(whole);
      altered[at] = (altered[at] as number) ^ 0x04;
      try {
        readCertReqMsg(altered);
        throw new Error(`taken with octet ${at} changed`);
      } catch (error) {
        expect(['malformed', 'invalid']).toContain((error as { kind?: string }).kind);
      }
    }
  });
});
