import { der } from '../der/write.js';
import { encodeName } from '../name.js';
import { OID } from '../oids.js';
import { buildTbs } from '../template.js';
import { commonName, generateKey, rootRules } from './issuing.js';
import {
  ca,
  device,
  rsaDevice,
  edDevice,
  template,
  rules,
  from,
  without,
  extension,
  san,
  root,
  usage,
  delegate,
  point,
  uri,
} from './tampering.js';

import type { PlantedDefect } from './planted-defects.js';

function nameConstraints(critical: boolean, base?: Buffer, mailbox = 'example.com'): Buffer {
  const value = der.sequence(der.constructed(0, der.sequence(der.primitive(1, Buffer.from(mailbox)))));
  return extension(OID.nameConstraints, { critical, value }, base);
}
const kemDevice = generateKey('ml-kem-768');
const SIGNATURE_ONLY = (['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const).map(
  (keyType) => [keyType, generateKey(keyType)] as const,
);
/** A subjectAltName that our encoder would not write. */
const rawSan = (...names: Buffer[]): Buffer => extension(OID.subjectAltName, { value: der.sequence(...names) });
const notice = (explicitText: Buffer): Buffer =>
  extension(OID.certificatePolicies, {
    value: der.sequence(
      der.sequence(der.oid('1.2.3.4'), der.sequence(der.sequence(der.oid(OID.userNotice), der.sequence(explicitText)))),
    ),
  });

/** Defects in extensions and purposes. */
export const EXTENSION_DEFECTS: PlantedDefect[] = [
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
  ['X13.subjectKeyId', 'no SKI in a CA', extension(OID.subjectKeyIdentifier, undefined, root), rootRules()],
  ['X13.subjectKeyId', 'a critical SKI', extension(OID.subjectKeyIdentifier, { critical: true })],
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
  ['X22.ca', 'name constraints in a device certificate', nameConstraints(true)],
  ['X22.ca', 'uncritical name constraints', nameConstraints(false, root), rootRules()],
  [
    'X22.form',
    'name constraints that constrain nothing',
    extension(OID.nameConstraints, { critical: true, value: der.sequence() }, root),
    rootRules(),
  ],
  ['X22.form', 'a constraint on one mailbox', nameConstraints(true, root, 'a@example.com'), rootRules()],
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
  ...SIGNATURE_ONLY.flatMap(([keyType, key]): PlantedDefect[] =>
    [2, 3, 4].map((bit) => [
      'X16.algorithm',
      `bit ${bit} of keyUsage with a ${keyType} key (P51)`,
      extension(OID.keyUsage, { value: der.namedBits([0, bit]) }, from({ publicKey: key.publicKey })),
    ]),
  ),
  ...[0, 1, 3, 4, 5, 6].map((bit): PlantedDefect => [
    'X16.algorithm',
    `bit ${bit} of keyUsage with an ML-KEM key (P52)`,
    extension(OID.keyUsage, { value: der.namedBits([2, bit]) }, from({ publicKey: kemDevice.publicKey })),
  ]),
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
  ['X01.readable', 'an iPAddress of five octets (X19)', rawSan(der.primitive(7, Buffer.alloc(5)))],
  ['X01.readable', 'an iPAddress with a mask (X19, X22)', rawSan(der.primitive(7, Buffer.alloc(8)))],
  ['X19.uri', 'a URI whose host is no name', san({ type: 'uri', value: 'https://a_b/' })],
  [
    'X20.aLabel',
    'an A-label that stands for a capital letter, which UTS 46 would map',
    san({ type: 'dns', value: 'xn--bcher-2pa.example' }),
  ],
  ['X20.aLabel', 'an A-label that does not decode', san({ type: 'uri', value: 'https://xn--99999999999.example/' })],
  ['X20.aLabel', 'a label with hyphens where A-labels have theirs', san({ type: 'dns', value: 'ab--c.example' })],
  ['X20.aLabel', 'such a label behind a mailbox', san({ type: 'email', value: 'a@ab--c.example' })],
  ['X01.readable', 'an IDN that is not an A-label (X20)', rawSan(der.primitive(2, Buffer.from('bücher.example')))],
  [
    'X01.readable',
    'a mailbox beyond ASCII as rfc822Name (X21)',
    rawSan(der.primitive(1, Buffer.from('älice@example.com'))),
  ],
  [
    'X21.utf8Mail',
    'a SmtpUTF8Mailbox with a byte order mark',
    san({ type: 'other', oid: OID.smtpUtf8Mailbox, value: der.utf8String('\ufeffälice@example.com') }),
  ],
  [
    'X21.utf8Mail',
    'a SmtpUTF8Mailbox whose host has capitals',
    san({ type: 'other', oid: OID.smtpUtf8Mailbox, value: der.utf8String('älice@Example.com') }),
  ],
  [
    'X21.utf8Mail',
    'a SmtpUTF8Mailbox whose host is no A-label',
    san({ type: 'other', oid: OID.smtpUtf8Mailbox, value: der.utf8String('älice@bücher.example') }),
  ],
  ['X23.explicitText', 'an IA5String as explicitText', notice(der.ia5String('text'))],
  ['X23.explicitText', 'a VisibleString as explicitText', notice(der.tagged(0x1a, Buffer.from('text')))],
  ['X23.explicitText', 'an explicitText of 201 characters', notice(der.utf8String('x'.repeat(201)))],
  ['X27.alone', 'noRevAvail beside a CRL distribution point', from({ noRevAvail: true })],
  [
    'X27.alone',
    'noRevAvail beside an OCSP URI',
    buildTbs({ ...without('crlUri'), noRevAvail: true }),
    { ...rules, revocation: 'none' },
  ],
  [
    'X27.alone',
    'noRevAvail beside a freshestCRL',
    extension(
      OID.freshestCRL,
      { value: point(der.constructed(0, der.constructed(0, uri('http://a.example/')))) },
      buildTbs(without('crlUri', 'ocspUri')),
    ),
    { ...rules, revocation: 'none' },
  ],
  ['X27.alone', 'noRevAvail in a CA certificate', extension(OID.noRevAvail, { value: der.null() }, root), rootRules()],
  [
    'X27.noRevAvail',
    'noRevAvail left out by the template',
    buildTbs({ ...without('crlUri', 'ocspUri'), noRevAvail: false }),
    { ...rules, revocation: 'none' },
  ],
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
    'policy constraints',
    extension(OID.policyConstraints, { critical: true, value: der.sequence() }, root),
    rootRules(),
  ],
  ['X29.critical', 'a critical extKeyUsage', extension(OID.extKeyUsage, { critical: true })],
  ['X29.appId', 'an app id that is no UUID', extension(OID.touchmarkAppId, { value: der.utf8String('app') })],
  [
    'X29.appId',
    'an app id in another string type',
    extension(OID.touchmarkAppId, { value: der.ia5String(template.appId as string) }),
  ],
];
