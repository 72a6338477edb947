import { describe, expect, it } from '@jest/globals';
import { isAuthorityError } from '#kernel';
import type { Certificate } from './certificate.js';
import { encodePossessionStatement } from './csr-possession.js';
import { readCsr } from './csr.js';
import { encodeAttribute, encodeCsr } from './csr-write.js';
import { der } from './der/write.js';
import { OID } from './oids.js';
import { certify } from './testing/chain.js';
import { commonName, generateKey } from './testing/issuing.js';

const ca = certify(undefined, 'CA');
const device = certify(ca, 'dev-1', { keys: generateKey('ec-p256'), serial: '0202' });
const other = certify(ca, 'dev-2', { keys: generateKey('ec-p256'), serial: '0303' });
const kem = generateKey('ml-kem-768');
const { certificate: signer } = device;

const request = (
  publicKey: typeof kem.publicKey,
  possession: { signer: Certificate; carried: boolean },
  keys = device.keys,
): Buffer => encodeCsr({ subject: commonName('dev-1'), publicKey, possession }, keys.privateKey);
/** Signed by the device, with an attribute as it is given. */
const stating = (...statements: Buffer[]): Buffer =>
  encodeCsr(
    {
      subject: commonName('dev-1'),
      publicKey: device.keys.publicKey,
      attributes: [der.sequence(der.oid(OID.statementOfPossession), der.setOf(...statements))],
    },
    device.keys.privateKey,
  );
/** As `stating`, for the ML-KEM key: what the encoder would not write is spliced in for the key that can sign. */
const statingForKem = (statement: Buffer): Buffer =>
  encodeCsr(
    {
      subject: commonName('dev-1'),
      publicKey: { ...device.keys.publicKey, keyType: 'ec-p256', spki: kem.publicKey.spki },
      attributes: [encodeAttribute(OID.statementOfPossession, statement)],
    },
    device.keys.privateKey,
  );

function failureOf(csr: Buffer, by?: Certificate): string {
  try {
    readCsr(csr, () => by);
    return 'accepted';
  } catch (error) {
    return isAuthorityError(error) ? `${error.kind}/${error.code}` : `other: ${String(error)}`;
  }
}

describe('a request for a key that cannot sign', () => {
  it.each(['ml-kem-512', 'ml-kem-768', 'ml-kem-1024'] as const)(
    'of type %s is proved by the key of an earlier certificate, carried along or not (P54, RFC 9883)',
    (keyType) => {
      const { publicKey } = generateKey(keyType);
      for (const carried of [true, false]) {
        const csr = readCsr(request(publicKey, { signer, carried }), () => signer);
        expect(csr.publicKey.keyType).toBe(keyType);
        expect(csr.possession).toEqual({
          issuerDer: signer.issuerDer,
          serial: '0202',
          certificate: carried ? signer.der : undefined,
        });
      }
    },
  );

  const swapped = der.sequence(der.sequence(signer.issuerDer, der.integer(0x0202)), other.certificate.der);
  it.each([
    [
      'without a certificate in the connection',
      request(kem.publicKey, { signer, carried: true }),
      undefined,
      'invalid/possession',
    ],
    [
      'by another certificate than that of the connection',
      request(kem.publicKey, { signer, carried: false }),
      other.certificate,
      'invalid/possession',
    ],
    [
      'that names that of the connection and is signed by another',
      request(kem.publicKey, { signer, carried: false }, other.keys),
      signer,
      'malformed/badSignature',
    ],
    ['that carries another certificate than it names', statingForKem(swapped), signer, 'malformed/malformed'],
    [
      'without a statement',
      encodeCsr(
        { subject: commonName('dev-1'), publicKey: { ...device.keys.publicKey, spki: kem.publicKey.spki } },
        device.keys.privateKey,
      ),
      signer,
      'invalid/possession',
    ],
    ['with an empty statement', statingForKem(der.sequence()), signer, 'malformed/malformed'],
    [
      'with more behind the certificate',
      statingForKem(der.sequence(der.sequence(signer.issuerDer, der.integer(0x0202)), signer.der, der.null())),
      signer,
      'malformed/malformed',
    ],
    [
      'with a certificate that is none',
      statingForKem(der.sequence(der.sequence(signer.issuerDer, der.integer(0x0202)), der.null())),
      signer,
      'malformed/malformed',
    ],
    [
      'with two statements',
      stating(encodePossessionStatement(signer, false), encodePossessionStatement(other.certificate, false)),
      signer,
      'malformed/malformed',
    ],
    ['for a key that can sign', stating(encodePossessionStatement(signer, true)), signer, 'invalid/possession'],
  ])('%s is refused (P54)', (_, csr, by, expected) => {
    expect(failureOf(csr, by)).toBe(expected);
  });
});
