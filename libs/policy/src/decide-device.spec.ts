import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { AuthorityError, loadConfig } from '#kernel';
import {
  assembleCertificate,
  der,
  encodeCsr,
  encodeName,
  newSerial,
  OID,
  prepareCertificate,
  readCertificate,
  readCsr,
  readPublicKey,
  signBytes,
  type Certificate,
  type CertificationRequest,
  type CsrTemplate,
  type GeneralName,
  type SubjectPublicKey,
} from '#pki';
import { decideDevice, type DeviceFacts } from './decide-device.js';
import { lintRules, validity } from './profile.js';
import { profiles } from './shipped-profiles.js';

const NOW = new Date('2026-03-01T12:00:00Z');
const profile = profiles(loadConfig({}).lifetimes).device;
const device = { id: '01900000-0000-7000-8000-00000000d001', instanceId: '5f0c1d6e-8b1a-4c55-9a57-2f0d6a5b0001' };
const GOOD: DeviceFacts = { suspended: false, revoked: false };
const OTHER = '01900000-0000-7000-8000-00000000d002';
const ownSubject = [[{ type: OID.commonName, value: device.id }]];
const ownSan: GeneralName[] = [{ type: 'uri', value: `urn:uuid:${device.instanceId}` }];

const publicHalf = (key: KeyObject): SubjectPublicKey => readPublicKey(key.export({ type: 'spki', format: 'der' }));

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });

function csr(wishes: Partial<CsrTemplate> = {}): CertificationRequest {
  return readCsr(
    encodeCsr({ subject: ownSubject, publicKey: publicHalf(pair.publicKey), san: ownSan, ...wishes }, pair.privateKey),
  );
}

const extension = (oid: string, value: Buffer) => ({ extensions: [{ oid, critical: false, value }] });
const bits = (...octets: number[]): Buffer => Buffer.from([0x03, octets.length, ...octets]);

function decide(request: CertificationRequest, rest: { current?: Certificate; device?: Partial<DeviceFacts> } = {}) {
  return decideDevice({
    profile,
    device: { ...GOOD, ...rest.device },
    entitled: { subject: ownSubject, san: ownSan },
    csr: request,
    current: rest.current,
  });
}

function refusal(work: () => unknown): AuthorityError {
  try {
    work();
  } catch (error) {
    if (error instanceof AuthorityError) return error;
    throw error;
  }
  throw new Error('accepted');
}

describe('a first enrollment', () => {
  test('gets the names of the registry', () => {
    expect(decide(csr())).toEqual({ subject: ownSubject, san: ownSan });
  });

  const allowed: [string, Partial<CsrTemplate>][] = [
    ['leaves subject and SAN out', { subject: [], san: undefined as never }],
    ['repeats what the profile gives', extension(OID.extKeyUsage, der.sequence(der.oid(OID.clientAuth)))],
    ['asks for digitalSignature', extension(OID.keyUsage, bits(0x07, 0x80))],
    ['says cA FALSE', extension(OID.basicConstraints, der.sequence())],
    [
      'names a subject key identifier',
      extension(OID.subjectKeyIdentifier, Buffer.from('0414' + '00'.repeat(20), 'hex')),
    ],
    ['writes its UUID in capitals', { san: [{ type: 'uri', value: `URN:uuid:${device.instanceId}` }] }],
  ];
  test.each(allowed)('that %s gets the same names', (_, wishes) => {
    const { san, ...rest } = wishes;
    const template = 'san' in wishes && san === undefined ? { ...rest } : wishes;
    const base: CsrTemplate = { subject: ownSubject, publicKey: publicHalf(pair.publicKey), ...template };
    expect(decide(readCsr(encodeCsr(base, pair.privateKey)))).toEqual({ subject: ownSubject, san: ownSan });
  });

  const refused: [string, Partial<CsrTemplate>, RegExp][] = [
    ['CA:TRUE', extension(OID.basicConstraints, Buffer.from('30030101ff', 'hex')), /CA certificate/],
    [
      'CA:TRUE with a path length',
      extension(OID.basicConstraints, Buffer.from('30060101ff020100', 'hex')),
      /CA certificate/,
    ],
    ['the UUID of another device', { san: [{ type: 'uri', value: `urn:uuid:${OTHER}` }] }, /not of this device/],
    [
      'its own UUID and another one',
      { san: [...ownSan, { type: 'uri', value: `urn:uuid:${OTHER}` }] },
      /not of this device/,
    ],
    ['a host name', { san: [...ownSan, { type: 'dns', value: 'api.example' }] }, /not of this device/],
    ['its UUID as a host name', { san: [{ type: 'dns', value: device.instanceId }] }, /not of this device/],
    ['the CN of another device', { subject: [[{ type: OID.commonName, value: OTHER }]] }, /CN=<device id>/],
    [
      'an organization beside its CN',
      { subject: [...ownSubject, [{ type: OID.organizationName, value: 'Acme' }]] },
      /CN=<device id>/,
    ],
    [
      'serverAuth',
      extension(OID.extKeyUsage, der.sequence(der.oid(OID.clientAuth), der.oid(OID.serverAuth))),
      /extendedKeyUsage/,
    ],
    ['OCSPSigning', extension(OID.extKeyUsage, der.sequence(der.oid(OID.ocspSigning))), /extendedKeyUsage/],
    ['anyExtendedKeyUsage', extension(OID.extKeyUsage, der.sequence(der.oid('2.5.29.37.0'))), /extendedKeyUsage/],
    ['keyCertSign', extension(OID.keyUsage, bits(0x02, 0x84)), /keyUsage/],
    ['keyEncipherment', extension(OID.keyUsage, bits(0x05, 0xa0)), /keyUsage/],
    [
      'an unknown extension',
      extension('1.3.6.1.4.1.99999.1', Buffer.from('0500', 'hex')),
      /1\.3\.6\.1\.4\.1\.99999\.1/,
    ],
    ['name constraints', extension('2.5.29.30', der.sequence()), /2\.5\.29\.30/],
    [
      'another name by ChangeSubjectName',
      { changeSubjectName: { subject: [[{ type: OID.commonName, value: OTHER }]] } },
      /ChangeSubjectName/,
    ],
  ];
  test.each(refused)('that asks for %s is refused aloud', (_, wishes, text) => {
    const error = refusal(() => decide(csr(wishes)));
    expect(error.kind).toBe('forbidden');
    expect(error.detail).toMatch(text);
  });
});

describe('a key that must not be certified is refused', () => {
  // The reader of requests refuses most of these already; the decision must not depend on it.
  const withKey = (publicKey: SubjectPublicKey): CertificationRequest => ({ ...csr(), publicKey });
  const rsa = (modulusLength: number, publicExponent = 65537) =>
    publicHalf(generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey);

  test.each([
    ['RSA 1024', () => rsa(1024), 'weakKey'],
    ['RSA with exponent 3', () => rsa(2048, 3), 'weakKey'],
    ['secp256k1', () => publicHalf(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey), 'weakKey'],
    ['P-192', () => publicHalf(generateKeyPairSync('ec', { namedCurve: 'prime192v1' }).publicKey), 'weakKey'],
    ['Ed448', () => publicHalf(generateKeyPairSync('ed448').publicKey), 'unsupportedKey'],
    ['ML-KEM-768, which the profile lacks', () => publicHalf(generateKeyPairSync('ml-kem-768').publicKey), 'keyType'],
  ])('%s', (_, make, code) => {
    const error = refusal(() => decide(withKey(make())));
    expect(error.kind).toBe('invalid');
    expect(error.code).toBe(code);
  });

  test.each([
    ['P-384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey],
    ['RSA 2048', () => generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey],
    ['Ed25519', () => generateKeyPairSync('ed25519').publicKey],
  ])('%s is not', (_, make) => {
    expect(() => decide(withKey(publicHalf(make())))).not.toThrow();
  });
});

describe('the state of the device comes before everything else', () => {
  test.each([
    ['revoked', { revoked: true }, /revoked/],
    ['suspended', { suspended: true }, /suspended/],
  ])('a %s device gets nothing', (_, facts, text) => {
    const error = refusal(() => decide(csr(), { device: facts }));
    expect(error.kind).toBe('forbidden');
    expect(error.detail).toMatch(text);
  });
});

describe('a re-enrollment', () => {
  const current = certificateFor(ownSubject, ownSan);

  test('with the same subject and SAN gets the names of the registry', () => {
    expect(decide(csr(), { current })).toEqual({ subject: ownSubject, san: ownSan });
  });

  test('compares names, not their encoding: PrintableString equals UTF8String, and case does not matter', () => {
    const asPrintable = der.sequence(
      der.setOf(
        der.sequence(
          der.oid(OID.commonName),
          Buffer.concat([Buffer.from([0x13, device.id.length]), Buffer.from(device.id)]),
        ),
      ),
    );
    expect(asPrintable.equals(encodeName(ownSubject))).toBe(false);
    expect(() => decide({ ...csr(), subjectDer: asPrintable }, { current })).not.toThrow();
    expect(() =>
      decide(csr({ subject: [[{ type: OID.commonName, value: device.id.toUpperCase() }]] }), { current }),
    ).not.toThrow();
  });

  test('compares the SAN as a set', () => {
    expect(() => decide(csr({ san: [...ownSan, ...ownSan] }), { current })).not.toThrow();
  });

  test('of a certificate that names another device than the registry does is refused, whatever the request says', () => {
    const other: GeneralName = { type: 'uri', value: `urn:uuid:${OTHER}` };
    const foreign = certificateFor(ownSubject, [other]);
    expect(refusal(() => decide(csr({ san: [other] }), { current: foreign })).kind).toBe('forbidden');
    const more = certificateFor(ownSubject, [...ownSan, other]);
    expect(refusal(() => decide(csr({ san: [other, ...ownSan] }), { current: more })).kind).toBe('forbidden');
  });

  test.each<[string, Partial<CsrTemplate>, RegExp]>([
    ['another subject', { subject: [[{ type: OID.commonName, value: OTHER }]] }, /subject of the request/],
    ['an empty subject', { subject: [] }, /subject of the request/],
    ['another UUID', { san: [{ type: 'uri', value: `urn:uuid:${OTHER}` }] }, /subjectAltName of the request/],
    ['one more name', { san: [...ownSan, { type: 'dns', value: 'a.example' }] }, /subjectAltName of the request/],
  ])('with %s is malformed', (_, wishes, text) => {
    const error = refusal(() => decide(csr(wishes), { current }));
    expect(error.kind).toBe('malformed');
    expect(error.detail).toMatch(text);
  });

  test('without SAN is refused', () => {
    const bare = readCsr(encodeCsr({ subject: ownSubject, publicKey: publicHalf(pair.publicKey) }, pair.privateKey));
    expect(refusal(() => decide(bare, { current }))).toMatchObject({
      kind: 'malformed',
      detail: expect.stringMatching(/lacks/),
    });
  });

  test('is held to the same wishes as a first one', () => {
    const wish = extension(OID.basicConstraints, Buffer.from('30030101ff', 'hex'));
    expect(refusal(() => decide(csr(wish), { current })).kind).toBe('forbidden');
    expect(refusal(() => decide(csr({ changeSubjectName: { san: ownSan } }), { current })).kind).toBe('forbidden');
    expect(refusal(() => decide(csr(), { current, device: { revoked: true } })).kind).toBe('forbidden');
  });
});

/** A certificate as the device profile makes it, under a key of our own. */
function certificateFor(subject: typeof ownSubject, san: GeneralName[]): Certificate {
  const ca = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = publicHalf(ca.publicKey);
  const subjectDer = encodeName([[{ type: OID.commonName, value: 'Issuer' }]]);
  const issuer = { subjectDer, keyId: key.keyId, keyType: key.keyType };
  const token = prepareCertificate(
    {
      serial: newSerial(),
      issuer,
      subject,
      publicKey: publicHalf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey),
      ...validity(profile, NOW, undefined),
      keyUsage: [...profile.keyUsage],
      eku: [...profile.eku],
      san,
      crlUri: 'http://status.example/crl/x/0.crl',
      ocspUri: 'http://status.example/ocsp',
      caIssuersUri: 'http://status.example/ca/x.cer',
    },
    lintRules(profile, { ...issuer, notAfter: new Date('2040-01-01T00:00:00Z') }),
  );
  const tbs = token.consume();
  return readCertificate(assembleCertificate(tbs, signBytes(key.keyType, ca.privateKey, tbs), key));
}
