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
import { decideCertificate, objections, type CertificateRequest, type DeviceFacts } from './decide-certificate.js';
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

type Rest = Partial<Omit<CertificateRequest, 'csr' | 'device'>> & { device?: Partial<DeviceFacts> };

const ask = (request: CertificationRequest, { device: facts, ...rest }: Rest = {}): CertificateRequest => ({
  profile,
  device: { ...GOOD, ...facts },
  entitled: { subject: ownSubject, san: ownSan },
  csr: request,
  current: undefined,
  missingSan: 'refuse',
  ...rest,
});
const decide = (request: CertificationRequest, rest: Rest = {}) => decideCertificate(ask(request, rest));

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
    expect(decide(csr())).toEqual({ subject: ownSubject, san: ownSan, newIdentity: false });
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
    expect(decide(readCsr(encodeCsr(base, pair.privateKey)))).toMatchObject({ subject: ownSubject, san: ownSan });
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
  test.each(refused)('that asks for %s is refused aloud (E71)', (_, wishes, text) => {
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
    expect(decide(csr(), { current })).toEqual({ subject: ownSubject, san: ownSan, newIdentity: false });
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

describe('a renewal without SAN', () => {
  const bare = () =>
    readCsr(encodeCsr({ subject: ownSubject, publicKey: publicHalf(pair.publicKey) }, pair.privateKey));

  test('keeps the names where the label says so (E81)', () => {
    const current = certificateFor(ownSubject, ownSan);
    expect(decide(bare(), { current, missingSan: 'keep' })).toMatchObject({ san: ownSan });
    expect(refusal(() => decide(bare(), { current })).kind).toBe('malformed');
    const other = csr({ san: [{ type: 'uri', value: `urn:uuid:${OTHER}` }] });
    expect(refusal(() => decide(other, { current, missingSan: 'keep' })).kind).toBe('malformed');
  });
});

describe('a renewal with the same key (E84)', () => {
  test('is refused where the profile wants a new one, and only there', () => {
    const current = certificateFor(ownSubject, ownSan, publicHalf(pair.publicKey));
    expect(() => decide(csr(), { current })).not.toThrow();
    const fresh = { ...profile, renewal: { sameKey: false, afterExpirySeconds: 0 } };
    expect(refusal(() => decide(csr(), { current, profile: fresh }))).toMatchObject({
      kind: 'forbidden',
      code: 'sameKey',
    });
    expect(() => decide(csr(), { current: certificateFor(ownSubject, ownSan), profile: fresh })).not.toThrow();
  });
});

const sip = (domain: string): GeneralName => ({ type: 'uri', value: `sip:${domain}` });
const dns = (value: string): GeneralName => ({ type: 'dns', value });
const sipDomain = profiles(loadConfig({}).lifetimes)['sip-domain'];
const cn = (value: string) => [[{ type: OID.commonName, value }]];

describe('the names of the device against the rules of the profile', () => {
  const entitled = (...san: GeneralName[]) => ({ subject: cn('a.example'), san });
  const bare = () => readCsr(encodeCsr({ subject: [], publicKey: publicHalf(pair.publicKey) }, pair.privateKey));

  test('of types that it takes, as many as it takes', () => {
    const names = entitled(sip('a.example'), dns('proxy.a.example'));
    expect(decide(bare(), { profile: sipDomain, entitled: names })).toMatchObject(names);
  });

  test.each<[string, GeneralName[], RegExp]>([
    ['none of a type that must be there', [dns('a.example')], /0 names of type sip-domain.*takes 1 to 50/],
    ['one of a type that it does not take (EX18)', [sip('a.example'), ...ownSan], /takes no name like uri:urn:uuid/],
    ['one of no known type', [sip('a.example'), { type: 'registeredId', value: '1.2.3' }], /takes no name like/],
    ['an address where a domain belongs (EX18)', [{ type: 'ip', value: '192.0.2.1' }], /takes no name like ip/],
    ['too many', Array.from({ length: 51 }, (_, i) => sip(`a${i}.example`)), /51 names of type sip-domain/],
  ])('%s: refused', (_, san, text) => {
    const error = refusal(() => decide(bare(), { profile: sipDomain, entitled: entitled(...san) }));
    expect(error).toMatchObject({ kind: 'forbidden', code: 'names', detail: expect.stringMatching(text) });
  });

  test('none at all where the certificate would name nobody: refused', () => {
    const server = profiles(loadConfig({}).lifetimes)['tls-server'];
    const error = refusal(() => decide(bare(), { profile: server, entitled: { subject: [], san: [] } }));
    expect(error.detail).toMatch(/no names/);
  });

  test('a usage that a key of this type cannot have is beyond the profile (X16)', () => {
    const mail = profiles(loadConfig({}).lifetimes)['im-user'];
    const names = { subject: [], san: [{ type: 'email', value: 'a@a.example' } as const] };
    const wish = extension(OID.keyUsage, bits(0x05, 0xa0));
    const { san: _, ...rest } = { san: undefined, ...wish };
    const asking = readCsr(encodeCsr({ subject: [], publicKey: publicHalf(pair.publicKey), ...rest }, pair.privateKey));
    expect(refusal(() => decide(asking, { profile: mail, entitled: names }))).toMatchObject({ code: 'usage' });
  });
});

describe('ChangeSubjectName', () => {
  const before = { subject: cn('a.example'), san: [sip('a.example')] };
  const now = { subject: cn('b.example'), san: [sip('b.example'), dns('b.example')] };
  const current = () => certificateFor(before.subject, before.san);
  const change = (to: { subject?: typeof ownSubject; san?: GeneralName[] }, from = before) =>
    csr({ ...from, changeSubjectName: to });

  test('renews under the names that the device has now, as a new identity (E82)', () => {
    const decision = decide(change(now), { profile: sipDomain, entitled: now, current: current() });
    expect(decision).toEqual({ ...now, newIdentity: true });
  });

  test('without it the old names are not renewed once the device has others', () => {
    const error = refusal(() => decide(csr(before), { profile: sipDomain, entitled: now, current: current() }));
    expect(error).toMatchObject({ kind: 'forbidden', detail: expect.stringMatching(/ChangeSubjectName/) });
  });

  test.each<[string, Parameters<typeof change>, string]>([
    ['names of somebody else', [{ ...now, san: [sip('c.example'), dns('b.example')] }], 'forbidden'],
    ['only some of the names', [{ ...now, san: [sip('b.example')] }], 'forbidden'],
    ['one more name', [{ ...now, san: [...now.san, dns('c.example')] }], 'forbidden'],
    ['another subject', [{ ...now, subject: cn('c.example') }], 'forbidden'],
    ['the subject left out, which means none (E83)', [{ san: now.san }], 'forbidden'],
    ['the names left out, which means none (E83)', [{ subject: now.subject }], 'forbidden'],
    [
      'another subject than the certificate in the request itself',
      [now, { ...before, subject: now.subject }],
      'malformed',
    ],
    ['other names than the certificate in the request itself', [now, { ...before, san: now.san }], 'malformed'],
  ])('to %s is refused', (_, [to, from], kind) => {
    const rest = { profile: sipDomain, entitled: now, current: current() };
    expect(refusal(() => decide(change(to, from), rest)).kind).toBe(kind);
  });

  test('never moves a device to the UUID of another (S23)', () => {
    const other: GeneralName = { type: 'uri', value: `urn:uuid:${OTHER}` };
    const moved = { subject: ownSubject, san: [other] };
    const own = certificateFor(ownSubject, ownSan);
    const error = refusal(() => decide(csr({ changeSubjectName: moved }), { current: own, entitled: moved }));
    expect(error.detail).toMatch(/not that of the device/);
  });

  test('of a first request counts where it comes with the certificate of a third party (E86)', () => {
    const from = { subject: cn('Serial 4711'), san: [dns('factory.example')] };
    const asked = csr({ ...from, changeSubjectName: { subject: ownSubject, san: ownSan } });
    const knownAs = encodeName(from.subject);
    expect(decide(asked, { knownAs })).toMatchObject({ subject: ownSubject, san: ownSan, newIdentity: false });
    expect(refusal(() => decide(asked)).kind).toBe('forbidden');
    const foreign = csr({ ...from, changeSubjectName: { subject: ownSubject, san: [sip('a.example')] } });
    expect(refusal(() => decide(foreign, { knownAs })).kind).toBe('forbidden');
  });
});

test('a first request may name the device as a third party knows it, and gets the names of the registry', () => {
  const known = cn('Serial 4711');
  const asked = csr({ subject: known });
  expect(decide(asked, { knownAs: encodeName(known) })).toMatchObject({ subject: ownSubject, san: ownSan });
  expect(refusal(() => decide(asked)).detail).toMatch(/CN=<device id>/);
  expect(refusal(() => decide(asked, { knownAs: encodeName(cn('Serial 4712')) })).detail).toMatch(/CN=<device id>/);
});

test('all objections are told to whoever wants them all', () => {
  const bad = csr({
    subject: cn('somebody'),
    san: [dns('a.example')],
    ...extension(OID.basicConstraints, Buffer.from('30030101ff', 'hex')),
  });
  const narrow = { ...profile, keyTypes: ['ec-p384'] as const };
  const found = [...objections(ask(bad, { device: { suspended: true }, profile: narrow }))];
  expect(found.map(({ code }) => code)).toEqual(['forbidden', 'keyType', 'names', 'names', 'usage']);
  expect([...objections(ask(csr()))]).toEqual([]);
});

/** A certificate as the device profile makes it, under a key of our own. */
function certificateFor(
  subject: typeof ownSubject,
  san: GeneralName[],
  publicKey = publicHalf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey),
): Certificate {
  const ca = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = publicHalf(ca.publicKey);
  const subjectDer = encodeName([[{ type: OID.commonName, value: 'Issuer' }]]);
  const issuer = { subjectDer, keyId: key.keyId, keyType: key.keyType };
  const token = prepareCertificate(
    {
      serial: newSerial(),
      issuer,
      subject,
      publicKey,
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
