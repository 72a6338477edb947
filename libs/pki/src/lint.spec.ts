import { describe, expect, it } from '@jest/globals';
import { DerReader } from './der/read.js';
import { der } from './der/write.js';
import { encodeExtension, type Extension } from './extension.js';
import { encodeGeneralNames } from './general-name.js';
import { LINT_RULES, lintCertificate, type LintRules } from './lint.js';
import { encodeName } from './name.js';
import { OID } from './oids.js';
import { restoreCertificate } from './prepare.js';
import { signatureAlgorithm, signBytes } from './signature.js';
import { buildTbs, type CertificateTemplate } from './template.js';
import {
  commonName,
  DAY_SECONDS,
  deviceRules,
  deviceTemplate,
  generateKey,
  NOT_BEFORE,
  rootRules,
  rootTemplate,
  secondsLater,
} from './testing/issuing.js';

const ca = generateKey('ec-p256');
const device = generateKey('ec-p256');
const rsaDevice = generateKey('rsa-2048');
const edDevice = generateKey('ed25519');
const template = deviceTemplate(ca, device.publicKey);
const rules = deviceRules(ca);

const signed = (tbs: Buffer): Buffer =>
  der.sequence(tbs, signatureAlgorithm('ec-p256').der, der.bitString(signBytes('ec-p256', ca.privateKey, tbs)));

/** A defect that the template itself can say. */
const from = (part: Partial<CertificateTemplate>): Buffer => buildTbs({ ...template, ...part });
const without = (...members: (keyof CertificateTemplate)[]): CertificateTemplate => {
  const copy = { ...template };
  for (const member of members) delete copy[member];
  return copy;
};

const FIELDS = {
  version: 0,
  serial: 1,
  algorithm: 2,
  issuer: 3,
  validity: 4,
  subject: 5,
  spki: 6,
  extensions: 7,
} as const;

/** The good TBS with one of its elements replaced. */
function swap(field: keyof typeof FIELDS, element: Buffer, base = buildTbs(template)): Buffer {
  const body = DerReader.openSequence(base, 'test');
  const elements: Buffer[] = [];
  while (!body.done) elements.push(body.element());
  elements[FIELDS[field]] = element;
  return der.sequence(...elements);
}

/** The good TBS (or another) with one extension replaced, added or, without a value, left out. */
function extension(oid: string, change: Partial<Extension> | undefined, base = buildTbs(template)): Buffer {
  const body = DerReader.openSequence(base, 'test');
  for (let i = 0; i < FIELDS.extensions; i++) body.skip();
  const list = body.enter(0xa3).sequence();
  const kept: Buffer[] = [];
  let old: Extension = { oid, critical: false, value: Buffer.alloc(0) };
  while (!list.done) {
    const element = list.peekElement();
    const parts = list.sequence();
    if (parts.oid() !== oid) kept.push(element);
    else old = { oid, critical: parts.peekTag() === 1 && parts.boolean(), value: parts.octetString() };
  }
  if (change !== undefined) kept.push(encodeExtension({ ...old, ...change }));
  return swap('extensions', der.constructed(3, der.sequence(...kept)), base);
}

const validity = (notBefore: Buffer, notAfter: Buffer): Buffer => swap('validity', der.sequence(notBefore, notAfter));
const san = (...names: Parameters<typeof encodeGeneralNames>[0]): Buffer => from({ san: [...names] });
const root = buildTbs(rootTemplate(ca));
const usage = (...bits: number[]): Buffer => extension(OID.keyUsage, { value: der.namedBits(bits) });
const rdn = (type: string, value: Buffer): Buffer => der.sequence(der.setOf(der.sequence(der.oid(type), value)));
const weakKey = (): Buffer => {
  const modulus = (1n << 2047n) + 1n;
  const key = der.sequence(der.integer(modulus * 2n + 1n), der.integer(3));
  return der.sequence(der.sequence(der.oid(OID.rsaEncryption), der.null()), der.bitString(key));
};
const delegate: LintRules = { ...rules, eku: [OID.ocspSigning], revocation: 'none' };
const point = (...parts: Buffer[]): Buffer => der.sequence(der.sequence(...parts));
const uri = (text: string): Buffer => der.primitive(6, Buffer.from(text));
const end = template.notAfter;

/** Each defect alone in an otherwise good certificate: finding that must come, what is wrong, bytes, and rules if others. */
const DEFECTS: [string, string, Buffer, LintRules?][] = [
  ['X01.readable', 'no certificate inside', der.sequence()],
  ['X01.readable', 'an empty SAN', extension(OID.subjectAltName, { value: der.sequence() })],
  [
    'X01.der',
    'an extension value with BER inside',
    extension(OID.touchmarkAppId, { value: Buffer.from('2c800c01610000', 'hex') }),
  ],
  ['X01.der', 'an encoded BOOLEAN 01', extension('1.2.3', { value: Buffer.from('010101', 'hex') })],
  [
    'X01.version',
    'version 2',
    swap('version', der.constructed(0, der.integer(1)), swap('extensions', Buffer.alloc(0))),
  ],
  [
    'X01.algorithm',
    'an algorithm that the issuer key does not have',
    from({}),
    { ...rules, issuer: { ...(rules.issuer as NonNullable<LintRules['issuer']>), keyType: 'ec-p384' } },
  ],
  [
    'X01.uniqueId',
    'an issuerUniqueID',
    swap('spki', Buffer.concat([device.publicKey.spki, der.primitive(1, Buffer.of(0, 1))])),
  ],
  ['X02.serial', 'serial zero', from({ serial: '00' })],
  ['X02.serial', 'a negative serial', from({ serial: `ff${'5a'.repeat(16)}` })],
  ['X02.serial', 'a serial of 21 octets', swap('serial', der.integer(Buffer.alloc(21, 1)))],
  ['X03.serial', 'a short serial', from({ serial: '01' })],
  ['X03.serial', 'a serial without epoch octet', from({ serial: `00${'f0'.repeat(16)}` })],
  ['X05.notBefore', 'GeneralizedTime before 2050', validity(der.generalizedTime(NOT_BEFORE), der.time(end))],
  ['X05.notAfter', 'GeneralizedTime before 2050', validity(der.time(NOT_BEFORE), der.generalizedTime(end))],
  ['X06.order', 'an end before its beginning', from({ notAfter: secondsLater(NOT_BEFORE, -1) })],
  ['X06.length', 'one second more than 90 days', from({ notAfter: secondsLater(NOT_BEFORE, 90 * DAY_SECONDS) })],
  [
    'X08.issuerEnd',
    'an end behind that of the issuer',
    from({}),
    { ...rules, issuer: { ...(rules.issuer as NonNullable<LintRules['issuer']>), notAfter: secondsLater(end, -1) } },
  ],
  ['X09.selfSigned', 'an issuer where the rules say self-signed', from({}), { ...rules, selfSigned: true }],
  ['X09.issuer', 'another issuer name', swap('issuer', encodeName(commonName('Other CA')))],
  [
    'X09.issuer',
    'the issuer name in another string type',
    swap('issuer', rdn(OID.commonName, der.printableString('Example Issuing CA'))),
  ],
  ['X09.issuer', 'an empty issuer', swap('issuer', encodeName([]))],
  ['X09.caSubject', 'a CA without subject', swap('subject', encodeName([]), root), rootRules()],
  ['X10.strings', 'a TeletexString', swap('subject', rdn(OID.commonName, der.tagged(0x14, Buffer.from('dev'))))],
  ['X10.strings', 'a PrintableString CN', swap('subject', rdn(OID.commonName, der.printableString('dev')))],
  ['X10.email', 'an emailAddress', from({ subject: [[{ type: OID.emailAddress, value: 'a@example.com' }]] })],
  ['X10.values', 'a control character in the CN', from({ subject: commonName('a\u0007') })],
  ['X10.values', 'a space at the end of the CN', from({ subject: commonName('a ') })],
  ['X10.bounds', 'a CN of 65 characters', from({ subject: commonName('x'.repeat(65)) })],
  ['X10.bounds', 'a country of three letters', from({ subject: [[{ type: OID.countryName, value: 'USA' }]] })],
  [
    'X11.present',
    'neither subject nor SAN',
    buildTbs({ ...without('san'), subject: [] }),
    { ...rules, san: 'optional' },
  ],
  ['X11.critical', 'a critical SAN beside a subject', extension(OID.subjectAltName, { critical: true })],
  [
    'X11.critical',
    'an uncritical SAN beside an empty subject',
    extension(OID.subjectAltName, { critical: false }, from({ subject: [] })),
  ],
  ['X12.authorityKeyId', 'no AKI', extension(OID.authorityKeyIdentifier, undefined)],
  ['X12.authorityKeyId', 'a critical AKI', extension(OID.authorityKeyIdentifier, { critical: true })],
  [
    'X12.authorityKeyId',
    'the AKI of another key',
    from({ issuer: { ...template.issuer, keyId: device.publicKey.keyId } }),
  ],
  ['X13.subjectKeyId', 'no SKI', extension(OID.subjectKeyIdentifier, undefined)],
  [
    'X13.subjectKeyId',
    'the SKI of another key',
    extension(OID.subjectKeyIdentifier, { value: der.octetString(ca.publicKey.keyId) }),
  ],
  ['X14.ca', 'a CA where a device belongs', from({ basicConstraints: { ca: true }, keyUsage: ['keyCertSign'] })],
  ['X14.ca', 'a root that is no CA', extension(OID.basicConstraints, undefined, root), rootRules()],
  [
    'X14.critical',
    'uncritical basicConstraints in a CA',
    extension(OID.basicConstraints, { critical: false }, root),
    rootRules(),
  ],
  [
    'X14.critical',
    'basicConstraints in a device certificate',
    extension(OID.basicConstraints, { value: der.sequence() }),
  ],
  ['X14.der', 'an encoded cA FALSE', extension(OID.basicConstraints, { value: der.sequence(der.boolean(false)) })],
  ['X14.pathLen', 'a path length without CA', extension(OID.basicConstraints, { value: der.sequence(der.integer(0)) })],
  ['X15.present', 'no keyUsage', extension(OID.keyUsage, undefined)],
  ['X15.present', 'an uncritical keyUsage', extension(OID.keyUsage, { critical: false })],
  ['X15.present', 'a keyUsage without a bit', usage()],
  ['X15.der', 'a keyUsage with trailing zero bits', extension(OID.keyUsage, { value: Buffer.from('03020080', 'hex') })],
  ['X15.certSign', 'keyCertSign in a device certificate', usage(0, 5)],
  [
    'X15.certSign',
    'a CA that may not sign certificates',
    extension(OID.keyUsage, { value: der.namedBits([6]) }, root),
    rootRules(),
  ],
  ['X15.crlSign', 'cRLSign in a device certificate', usage(0, 6)],
  ['X15.profile', 'a usage that the profile does not have', usage(0, 1)],
  ['X16.algorithm', 'keyEncipherment with an EC key', usage(0, 2)],
  [
    'X16.algorithm',
    'keyAgreement with an RSA key',
    extension(OID.keyUsage, { value: der.namedBits([0, 4]) }, from({ publicKey: rsaDevice.publicKey })),
  ],
  [
    'X16.algorithm',
    'keyAgreement with an Ed25519 key',
    extension(OID.keyUsage, { value: der.namedBits([0, 4]) }, from({ publicKey: edDevice.publicKey })),
  ],
  ['X16.agreement', 'encipherOnly without keyAgreement', usage(0, 7)],
  ['X16.agreement', 'encipherOnly and decipherOnly', usage(0, 4, 7, 8)],
  ['X17.profile', 'a purpose that the profile does not have', from({ eku: [OID.clientAuth, OID.serverAuth] })],
  ['X17.profile', 'no purpose at all', buildTbs(without('eku'))],
  ['X17.usage', 'clientAuth without a usage for it', usage(1)],
  ['X17.any', 'anyExtendedKeyUsage', from({ eku: [OID.anyExtendedKeyUsage] })],
  ['X17.repeated', 'a purpose twice', from({ eku: [OID.clientAuth, OID.clientAuth] })],
  ['X18.profile', 'no SAN', buildTbs(without('san'))],
  ['X18.profile', 'a SAN where none belongs', from({}), { ...rules, san: 'forbidden' }],
  ['X18.dns', 'a dNSName that is a space', san({ type: 'dns', value: ' ' })],
  ['X18.dns', 'an underscore in a dNSName', san({ type: 'dns', value: 'a_b.example' })],
  [
    'X18.dns',
    'an A-label that does not decode (X20)',
    san({ type: 'dns', value: 'xn--a-ecp.xn--99999999999.example' }),
  ],
  ['X18.dns', 'a wildcard inside', san({ type: 'dns', value: 'a.*.example' })],
  [
    'X18.repeated',
    'one name in two spellings',
    san({ type: 'dns', value: 'a.example' }, { type: 'dns', value: 'A.example' }),
  ],
  ['X19.uri', 'a relative URI', san({ type: 'uri', value: '/device/1' })],
  ['X19.uri', 'a URI with a space', san({ type: 'uri', value: 'urn:x: y' })],
  ['X19.uri', 'a URI without host', san({ type: 'uri', value: 'https://:443/' })],
  ['S10.uuid', 'an upper-case UUID', san({ type: 'uri', value: 'urn:uuid:6F1C2F0A-54D1-4C5E-9A55-0D6E8A3B9C11' })],
  ['S10.uuid', 'the nil UUID', san({ type: 'uri', value: 'urn:uuid:00000000-0000-0000-0000-000000000000' })],
  ['X21.mail', 'an rfc822Name without host', san({ type: 'email', value: 'alice@' })],
  [
    'X21.utf8Mail',
    'a SmtpUTF8Mailbox in ASCII',
    san({ type: 'other', oid: OID.smtpUtf8Mailbox, value: der.utf8String('alice@example.com') }),
  ],
  [
    'X21.utf8Mail',
    'a SmtpUTF8Mailbox as IA5String',
    san({ type: 'other', oid: OID.smtpUtf8Mailbox, value: der.ia5String('alice@example.com') }),
  ],
  ['X25.plain', 'a critical AIA', extension(OID.authorityInfoAccess, { critical: true })],
  ['X25.http', 'OCSP over https', from({ ocspUri: 'https://status.example.org/ocsp' })],
  ['X25.ocsp', 'no OCSP URI', buildTbs(without('ocspUri'))],
  ['X25.ocsp', 'an OCSP URI where none is offered', from({}), { ...rules, revocation: 'crl' }],
  ['X26.plain', 'a critical CRLDP', extension(OID.cRLDistributionPoints, { critical: true })],
  [
    'X26.plain',
    'a CRLDP with reasons',
    extension(OID.cRLDistributionPoints, {
      value: point(
        der.constructed(0, der.constructed(0, uri('http://a.example/'))),
        der.primitive(1, Buffer.of(6, 0x40)),
      ),
    }),
  ],
  [
    'X26.plain',
    'a CRLDP with a cRLIssuer alone',
    extension(OID.cRLDistributionPoints, {
      value: point(der.constructed(2, der.constructed(4, encodeName(commonName('x'))))),
    }),
  ],
  ['X26.http', 'a CRL over ldap', from({ crlUri: 'ldap://status.example.org/cn=x' })],
  ['X26.crl', 'no CRL URI', buildTbs(without('crlUri'))],
  ['X27.noRevAvail', 'noRevAvail beside a CRL', extension(OID.noRevAvail, { value: der.null() })],
  [
    'X27.noRevAvail',
    'no noRevAvail without revocation',
    extension(OID.noRevAvail, undefined, buildTbs(without('crlUri', 'ocspUri'))),
    { ...rules, revocation: 'none' },
  ],
  ['X27.noRevAvail', 'noRevAvail in a CA', extension(OID.noRevAvail, { value: der.null() }, root), rootRules()],
  [
    'X27.form',
    'a critical noRevAvail',
    extension(OID.noRevAvail, { critical: true }, buildTbs(without('crlUri', 'ocspUri'))),
    { ...rules, revocation: 'none' },
  ],
  ['O34.form', 'an ocsp-nocheck that is not NULL', extension(OID.ocspNoCheck, { value: der.boolean(true) })],
  ['O34.delegate', 'ocsp-nocheck in a device certificate', from({ ocspNoCheck: true })],
  [
    'O34.delegate',
    'a delegate without ocsp-nocheck',
    buildTbs({ ...without('crlUri', 'ocspUri'), eku: [OID.ocspSigning] }),
    delegate,
  ],
  [
    'O34.delegate',
    'a delegate with a CRL URI',
    from({ eku: [OID.ocspSigning], ocspNoCheck: true }),
    { ...delegate, revocation: 'crl+ocsp' },
  ],
  ['X29.extensions', 'an extension that is not ours', extension('1.2.3.4', { value: der.null() })],
  [
    'X29.extensions',
    'name constraints',
    extension(OID.nameConstraints, { critical: true, value: der.sequence() }, root),
    rootRules(),
  ],
  ['X29.critical', 'a critical extKeyUsage', extension(OID.extKeyUsage, { critical: true })],
  ['X29.appId', 'an app id that is no UUID', extension(OID.touchmarkAppId, { value: der.utf8String('app') })],
  [
    'X29.appId',
    'an app id in another string type',
    extension(OID.touchmarkAppId, { value: der.ia5String(template.appId as string) }),
  ],
  ['E73.keyType', 'a type of key that the profile does not have', from({}), { ...rules, keyTypes: ['rsa-2048'] }],
  ['E73.keyStrength', 'RSA with exponent 3', swap('spki', weakKey())],
];

const idsOf = (tbs: Buffer, by: LintRules): string[] => lintCertificate(signed(tbs), by).map(({ id }) => id);

describe('the linter', () => {
  it('has nothing to say about good certificates', () => {
    expect(idsOf(buildTbs(template), rules)).toEqual([]);
    expect(idsOf(from({ publicKey: rsaDevice.publicKey }), rules)).toEqual([]);
    expect(idsOf(from({ publicKey: edDevice.publicKey }), rules)).toEqual([]);
    expect(idsOf(from({ subject: [] }), rules)).toEqual([]);
    expect(idsOf(root, rootRules())).toEqual([]);
    const names = [
      'sip:alice@example.com',
      'sip:example.com',
      'https://[2001:db8::1]:8443/x',
      'http://localhost:8080/',
    ];
    expect(idsOf(from({ san: names.map((value) => ({ type: 'uri', value })) }), rules)).toEqual([]);
    expect(
      idsOf(
        from({
          san: [
            { type: 'dns', value: '*.example.com' },
            { type: 'dns', value: 'xn--bcher-kva.example' },
            { type: 'ip', value: '::1' },
            { type: 'email', value: 'a.b+c@example.com' },
          ],
        }),
        rules,
      ),
    ).toEqual([]);
    expect(
      idsOf(
        from({ san: [{ type: 'other', oid: OID.smtpUtf8Mailbox, value: der.utf8String('älice@example.com') }] }),
        rules,
      ),
    ).toEqual([]);
    expect(
      idsOf(buildTbs({ ...without('crlUri', 'ocspUri'), eku: [OID.ocspSigning], ocspNoCheck: true }), delegate),
    ).toEqual([]);
    expect(idsOf(buildTbs(without('ocspUri')), { ...rules, revocation: 'crl' })).toEqual([]);
  });

  it('passes an issuing CA under a root', () => {
    const sub = generateKey('ec-p256');
    const tbs = buildTbs({
      ...without('ocspUri', 'eku', 'san', 'appId'),
      subject: commonName('Issuing CA'),
      publicKey: sub.publicKey,
      basicConstraints: { ca: true, pathLen: 0 },
      keyUsage: ['keyCertSign', 'cRLSign'],
    });
    const by: LintRules = {
      ...rules,
      ca: true,
      keyUsage: ['keyCertSign', 'cRLSign'],
      eku: [],
      san: 'forbidden',
      revocation: 'crl',
    };
    expect(idsOf(tbs, by)).toEqual([]);
  });

  it.each(DEFECTS)('finds %s: %s', (id, _, tbs, by = rules) => {
    expect(idsOf(tbs, by)).toContain(id);
  });

  it.each(DEFECTS)('blocks what %s finds: %s (X29)', (_id, _text, tbs, by = rules) => {
    expect(() => restoreCertificate(tbs, by)).toThrow(expect.objectContaining({ name: 'AuthorityError' }));
  });

  it('has no rule that no defect sets off, and no id twice', () => {
    const ids = LINT_RULES.map(({ id }) => id);
    const planted = new Set(DEFECTS.map(([id]) => id));
    expect(ids.filter((id) => !planted.has(id))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('counts both ends of the validity (X06)', () => {
    const day = { ...rules, maxValiditySeconds: DAY_SECONDS };
    expect(idsOf(from({ notAfter: secondsLater(NOT_BEFORE, DAY_SECONDS - 1) }), day)).toEqual([]);
    expect(idsOf(from({ notAfter: secondsLater(NOT_BEFORE, DAY_SECONDS) }), day)).toEqual(['X06.length']);
  });

  it('never throws for what the bytes hold', () => {
    const certificate = signed(buildTbs(template));
    for (let at = 0; at < certificate.length; at++) {
      for (const bit of [0x01, 0x20, 0x80]) {
        const mutant = Buffer.from(certificate);
        mutant[at] = (mutant[at] as number) ^ bit;
        expect(Array.isArray(lintCertificate(mutant, rules))).toBe(true);
      }
    }
  });
});
