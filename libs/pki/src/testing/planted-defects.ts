import { der } from '../der/write.js';
import type { LintRules } from '../lint.js';
import { encodeName } from '../name.js';
import { OID } from '../oids.js';
import { buildTbs } from '../template.js';
import { commonName, DAY_SECONDS, NOT_BEFORE, rootRules, secondsLater } from './issuing.js';
import { device, rules, from, without, swap, extension, validity, root, rdn, weakKey, end } from './tampering.js';

/** Finding that must come, what is wrong, bytes with that defect alone, and rules if others than the device profile's. */
export type PlantedDefect = [id: string, defect: string, tbs: Buffer, rules?: LintRules];

/** Defects in the body, the names and the key. */
export const BODY_DEFECTS: PlantedDefect[] = [
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
  [
    'X05.notAfter',
    'GeneralizedTime for 2049',
    validity(der.time(NOT_BEFORE), der.generalizedTime(new Date('2049-12-31T23:59:59Z'))),
  ],
  [
    'X01.readable',
    'a time without seconds (X05)',
    validity(der.tagged(0x17, Buffer.from('3001010000Z')), der.time(end)),
  ],
  [
    'X01.readable',
    'a time with a fraction (X05)',
    validity(der.time(NOT_BEFORE), der.tagged(0x18, Buffer.from('20500101000000.5Z'))),
  ],
  [
    'X07.noEnd',
    'a last day of all days that ends too early',
    validity(der.time(NOT_BEFORE), der.time(new Date('9999-12-31T00:00:00Z'))),
  ],
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
  ['X10.strings', 'a BMPString CN', swap('subject', rdn(OID.commonName, der.tagged(0x1e, Buffer.from('0064', 'hex'))))],
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
  ['E73.keyType', 'a type of key that the profile does not have', from({}), { ...rules, keyTypes: ['rsa-2048'] }],
  ['E73.keyStrength', 'RSA with exponent 3', swap('spki', weakKey())],
];
