import type { Certificate } from './certificate.js';
import { DerReader } from './der/read.js';
import { contextTag } from './der/tags.js';
import { walkDer } from './der/walk.js';
import { der } from './der/write.js';
import type { LintRule, LintRules } from './lint.js';
import { OID } from './oids.js';
import { checkKeyStrength } from './key-strength.js';
import { signatureAlgorithm } from './signature.js';

/** The elements of the TBSCertificate as they stand, for rules about encoding. */
function elements(certificate: Certificate): Buffer[] {
  const body = DerReader.openSequence(certificate.tbs, 'certificate');
  const found: Buffer[] = [];
  while (!body.done) found.push(body.element());
  return found;
}

/** Field 4 after `[0]`, serial, algorithm and issuer is Validity; each of its times as DER. */
function validityTimes(certificate: Certificate): [Buffer, Buffer] {
  const validity = DerReader.openSequence(elements(certificate)[4] ?? Buffer.alloc(0), 'validity');
  return [validity.element(), validity.element()];
}

const seconds = (date: Date): number => Math.floor(date.getTime() / 1000);

/** Values of extensions that hold ASN.1 of their own; in those of ours that is every one. */
function isDerThroughout(certificate: Certificate): boolean {
  walkDer(certificate.der, 'certificate');
  for (const { value } of certificate.extensions.values()) walkDer(value, 'extension');
  return true;
}

function issuerAlgorithm(certificate: Certificate, rules: LintRules): Buffer {
  return signatureAlgorithm(rules.issuer?.keyType ?? certificate.publicKey.keyType).der;
}

/** RFC 5280 4.1.2.5: how a certificate without a well-defined end is written. */
const NO_END = Date.UTC(9999, 11, 31, 23, 59, 59);
const SERIAL_OCTETS = { least: 17, most: 20 };

/** Rules about the fields of TBSCertificate other than names and extensions. */
export const BODY_RULES: readonly LintRule[] = [
  {
    id: 'X01.der',
    severity: 'error',
    text: 'the certificate and its extension values are DER throughout',
    holds: isDerThroughout,
  },
  { id: 'X01.version', severity: 'error', text: 'the version is v3', holds: ({ version }) => version === 3 },
  {
    id: 'X01.algorithm',
    severity: 'error',
    text: "both signature algorithms are that of the issuer's key, parameters included",
    holds: (certificate, rules) => certificate.signatureAlgorithmDer.equals(issuerAlgorithm(certificate, rules)),
  },
  {
    id: 'X01.uniqueId',
    severity: 'error',
    text: 'there is no issuerUniqueID or subjectUniqueID',
    holds: (certificate) => !elements(certificate).some((e) => e[0] === contextTag(1) || e[0] === contextTag(2)),
  },
  {
    id: 'X02.serial',
    severity: 'error',
    text: 'the serial is positive and at most 20 octets long',
    holds: ({ serial }) => /^[0-7]/.test(serial) && !/^0+$/.test(serial) && serial.length <= SERIAL_OCTETS.most * 2,
  },
  {
    id: 'X03.serial',
    severity: 'notice',
    text: 'the serial is an epoch octet from 01 to 7f and at least 16 random ones',
    holds: ({ serial }) => serial.length >= SERIAL_OCTETS.least * 2 && !serial.startsWith('00'),
  },
  {
    id: 'X05.notBefore',
    severity: 'error',
    text: 'notBefore is UTCTime until 2049 and GeneralizedTime from 2050',
    holds: (certificate) => validityTimes(certificate)[0].equals(der.time(certificate.notBefore)),
  },
  {
    id: 'X05.notAfter',
    severity: 'error',
    text: 'notAfter is UTCTime until 2049 and GeneralizedTime from 2050',
    holds: (certificate) => validityTimes(certificate)[1].equals(der.time(certificate.notAfter)),
  },
  {
    id: 'X07.noEnd',
    severity: 'error',
    text: 'a certificate that never ends says 99991231235959Z',
    holds: ({ notAfter }) => notAfter.getUTCFullYear() < 9999 || notAfter.getTime() === NO_END,
  },
  {
    id: 'X06.order',
    severity: 'error',
    text: 'notBefore is not later than notAfter',
    holds: ({ notBefore, notAfter }) => notBefore.getTime() <= notAfter.getTime(),
  },
  {
    id: 'X06.length',
    severity: 'notice',
    text: 'the validity, both ends counted, is no longer than the profile allows',
    holds: ({ notBefore, notAfter }, rules) => seconds(notAfter) - seconds(notBefore) + 1 <= rules.maxValiditySeconds,
  },
  {
    id: 'X08.issuerEnd',
    severity: 'notice',
    text: "notAfter is not later than the issuer's",
    holds: ({ notAfter }, rules) => rules.issuer === undefined || notAfter.getTime() <= rules.issuer.notAfter.getTime(),
  },
  {
    id: 'X09.selfSigned',
    severity: 'error',
    text: 'the rules name an issuer exactly where the certificate is not self-signed',
    holds: (certificate, rules) =>
      rules.selfSigned === (rules.issuer === undefined) &&
      (!rules.selfSigned || certificate.issuerDer.equals(certificate.subjectDer)),
  },
  {
    id: 'E73.keyType',
    severity: 'notice',
    text: 'the profile allows this type of key',
    holds: ({ publicKey }, rules) => rules.keyTypes.includes(publicKey.keyType),
  },
  {
    id: 'E73.keyStrength',
    severity: 'error',
    text: 'the public key is strong and well formed',
    holds: ({ publicKey }) => {
      checkKeyStrength(publicKey);
      return true;
    },
  },
  {
    id: 'X29.extensions',
    severity: 'notice',
    text: 'every extension is one that certificates of this authority carry',
    holds: ({ extensions }) => [...extensions.keys()].every((oid) => OURS.has(oid)),
  },
  {
    id: 'X29.critical',
    severity: 'notice',
    text: 'only keyUsage, basicConstraints, nameConstraints and the subjectAltName of an empty subject are critical',
    holds: ({ extensions }) =>
      [...extensions.values()].every(({ oid, critical }) => !critical || MAY_BE_CRITICAL.has(oid)),
  },
];

const OURS: ReadonlySet<string> = new Set([
  OID.basicConstraints,
  OID.keyUsage,
  OID.extKeyUsage,
  OID.subjectKeyIdentifier,
  OID.authorityKeyIdentifier,
  OID.subjectAltName,
  OID.cRLDistributionPoints,
  OID.authorityInfoAccess,
  OID.ocspNoCheck,
  OID.noRevAvail,
  OID.nameConstraints,
  OID.touchmarkAppId,
]);

const MAY_BE_CRITICAL: ReadonlySet<string> = new Set([
  OID.basicConstraints,
  OID.keyUsage,
  OID.nameConstraints,
  OID.subjectAltName,
]);
