import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { LintRules } from '../lint.js';
import { encodeName, type Name } from '../name.js';
import { OID } from '../oids.js';
import { type KeyType, readPublicKey, type SubjectPublicKey } from '../public-key.js';
import type { CertificateTemplate } from '../template.js';

/** Keys, a CA and a device profile for the specs of this library. */
export interface KeyPair {
  privateKey: KeyObject;
  publicKey: SubjectPublicKey;
}

export const SIGNING_KEY_TYPES = [
  'ec-p256',
  'ec-p384',
  'ec-p521',
  'rsa-2048',
  'ed25519',
  'ml-dsa-44',
  'ml-dsa-65',
  'ml-dsa-87',
] as const;

export function generateKey(keyType: KeyType): KeyPair {
  const pair = keyType.startsWith('ec-')
    ? generateKeyPairSync('ec', { namedCurve: keyType.replace('ec-p', 'P-') })
    : keyType.startsWith('rsa-')
      ? generateKeyPairSync('rsa', { modulusLength: Number(keyType.slice(4)) })
      : generateKeyPairSync(keyType as 'ed25519');
  return {
    privateKey: pair.privateKey,
    publicKey: readPublicKey(pair.publicKey.export({ format: 'der', type: 'spki' })),
  };
}

export const commonName = (value: string): Name => [[{ type: OID.commonName, value }]];

export const CA_NAME: Name = [
  [{ type: OID.countryName, value: 'US' }],
  [{ type: OID.organizationName, value: 'Example Testing' }],
  [{ type: OID.commonName, value: 'Example Issuing CA' }],
];
export const NOT_BEFORE = new Date('2030-01-01T00:00:00Z');
export const DAY_SECONDS = 86_400;
export const INSTANCE_ID = '6f1c2f0a-54d1-4c5e-9a55-0d6e8a3b9c11';
export const APP_ID = '0b9e7c52-8c44-4f0e-b2b7-6f0f6f3f7a21';
export const secondsLater = (date: Date, seconds: number): Date => new Date(date.getTime() + seconds * 1000);

export function issuerOf(ca: KeyPair, name: Name = CA_NAME): CertificateTemplate['issuer'] {
  return { subjectDer: encodeName(name), keyId: ca.publicKey.keyId, keyType: ca.publicKey.keyType };
}

/** A device certificate of 90 days as the profile `device` makes it. */
export function deviceTemplate(ca: KeyPair, device: SubjectPublicKey): CertificateTemplate {
  return {
    serial: `01${'5a'.repeat(16)}`,
    issuer: issuerOf(ca),
    subject: commonName('dev-7k2m9q'),
    publicKey: device,
    notBefore: NOT_BEFORE,
    notAfter: secondsLater(NOT_BEFORE, 90 * DAY_SECONDS - 1),
    keyUsage: ['digitalSignature'],
    eku: [OID.clientAuth],
    san: [{ type: 'uri', value: `urn:uuid:${INSTANCE_ID}` }],
    crlUri: 'http://status.example.org/crl/issuing/0.crl',
    ocspUri: 'http://status.example.org/ocsp',
    caIssuersUri: 'http://status.example.org/ca/issuing.cer',
    appId: APP_ID,
  };
}

export function deviceRules(ca: KeyPair): LintRules {
  return {
    selfSigned: false,
    issuer: { ...issuerOf(ca), notAfter: secondsLater(NOT_BEFORE, 3650 * DAY_SECONDS) },
    ca: false,
    maxValiditySeconds: 90 * DAY_SECONDS,
    keyTypes: [...SIGNING_KEY_TYPES, 'rsa-3072', 'rsa-4096'],
    keyUsage: ['digitalSignature'],
    eku: [OID.clientAuth],
    san: 'required',
    revocation: 'crl+ocsp',
  };
}

/** A self-signed root without revocation of its own. */
export function rootTemplate(ca: KeyPair): CertificateTemplate {
  return {
    serial: `01${'c3'.repeat(16)}`,
    issuer: issuerOf(ca),
    subject: CA_NAME,
    publicKey: ca.publicKey,
    notBefore: NOT_BEFORE,
    notAfter: secondsLater(NOT_BEFORE, 7300 * DAY_SECONDS - 1),
    basicConstraints: { ca: true },
    keyUsage: ['keyCertSign', 'cRLSign'],
  };
}

export function rootRules(): LintRules {
  return {
    selfSigned: true,
    issuer: undefined,
    ca: true,
    maxValiditySeconds: 7300 * DAY_SECONDS,
    keyTypes: [...SIGNING_KEY_TYPES, 'rsa-3072', 'rsa-4096'],
    keyUsage: ['keyCertSign', 'cRLSign'],
    eku: [],
    san: 'forbidden',
    revocation: 'none',
  };
}

/** A reproducible stream of numbers below `bound`, from SHA-256 over seed and counter. */
export function seededNumbers(seed: string): (bound: number) => number {
  let counter = 0;
  return (bound) => createHash('sha256').update(`${seed}/${counter++}`).digest().readUIntBE(0, 6) % bound;
}
