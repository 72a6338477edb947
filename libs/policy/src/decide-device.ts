import { AuthorityError } from '#kernel';
import {
  canonicalGeneralName,
  checkKeyStrength,
  encodeName,
  namesEqual,
  OID,
  readExtendedKeyUsage,
  readKeyUsage,
  type Certificate,
  type CertificationRequest,
  type GeneralName,
  type Name,
} from '#pki';
import type { Profile } from './profile.js';

/** What is known of a device when it asks for a certificate. */
export interface DeviceFacts {
  /** Status of the device and of its group by the log. */
  suspended: boolean;
  revoked: boolean;
}

export interface DeviceRequest {
  profile: Profile;
  device: DeviceFacts;
  entitled: EntitledNames;
  csr: CertificationRequest;
  /** The certificate being renewed; undefined for a first enrollment. */
  current: Certificate | undefined;
  /** DER of the subject by which a third party knows the device; a first request may name it too (RFC 7030 section 4.2.1). */
  knownAs?: Buffer | undefined;
}

/** Names that the device owns by the registry. */
export interface EntitledNames {
  subject: Name;
  san: GeneralName[];
}

/**
 * The one decision about a device's certificate, for enroll and re-enroll alike. What the request wishes beyond the
 * profile is refused aloud: `forbidden` for what this device may not have, `malformed` and `invalid` for form.
 * (RFC 7030 sections 4.2.1 and 4.2.2, RFC 6402 section 2.8)
 */
export function decideDevice(request: DeviceRequest): EntitledNames {
  const { device, csr, profile, current } = request;
  if (device.revoked) throw new AuthorityError('forbidden', 'the device is revoked');
  if (device.suspended) throw new AuthorityError('forbidden', 'the device or its group is suspended');
  checkKeyStrength(csr.publicKey);
  if (!profile.keyTypes.includes(csr.publicKey.keyType)) {
    throw new AuthorityError(
      'invalid',
      `keys of type ${csr.publicKey.keyType} are not allowed; allowed: ${profile.keyTypes.join(', ')}`,
      {
        code: 'keyType',
      },
    );
  }
  const { subject, san } = request.entitled;
  if (csr.changeSubjectName) {
    throw new AuthorityError(
      'forbidden',
      'ChangeSubjectName: another name is another device; register it and enroll it anew',
    );
  }
  if (current) {
    checkOwn(current, subject, san);
    checkSameNames(csr, current);
  }
  if (!current) checkWishedNames(csr, subject, san, request.knownAs);
  checkWishedExtensions(csr, profile);
  return { subject, san };
}

/** The certificate being renewed must say of the device what the registry says: a row moved in the database renews nothing. */
function checkOwn(current: Certificate, subject: Name, san: GeneralName[]): void {
  if (!namesEqual(current.subjectDer, encodeName(subject)) || !sameSet(current.san, san)) {
    throw new AuthorityError('forbidden', 'the certificate is not that of the device it is recorded for');
  }
}

/** E81: names equal by RFC 5280 section 7.1, SAN as a set; a re-enrollment without SAN is refused. */
function checkSameNames(csr: CertificationRequest, current: Certificate): void {
  if (!namesEqual(csr.subjectDer, current.subjectDer)) {
    throw new AuthorityError('malformed', 'the subject of the request is not that of the certificate being renewed');
  }
  if (csr.san === undefined) {
    throw new AuthorityError('malformed', 'the request lacks the subjectAltName of the certificate being renewed');
  }
  if (!sameSet(csr.san, current.san)) {
    throw new AuthorityError(
      'malformed',
      'the subjectAltName of the request is not that of the certificate being renewed',
    );
  }
}

/** A first request may leave names out; what it names must be the device's own. */
function checkWishedNames(
  csr: CertificationRequest,
  subject: Name,
  san: GeneralName[],
  knownAs: Buffer | undefined,
): void {
  const known = knownAs !== undefined && namesEqual(csr.subjectDer, knownAs);
  if (csr.subject.length > 0 && !known && !namesEqual(csr.subjectDer, encodeName(subject))) {
    throw new AuthorityError('forbidden', 'the subject of the request must be empty or CN=<device id>');
  }
  const own = new Set(san.map(canonicalGeneralName));
  if (csr.san?.some((name) => !own.has(canonicalGeneralName(name)))) {
    throw new AuthorityError('forbidden', 'the request names something in subjectAltName that is not of this device');
  }
}

function checkWishedExtensions(csr: CertificationRequest, profile: Profile): void {
  for (const extension of csr.extensions) {
    switch (extension.oid) {
      case OID.subjectAltName:
      case OID.subjectKeyIdentifier:
        break;
      case OID.basicConstraints:
        // DER of SEQUENCE {}: cA FALSE is the default and not encoded.
        if (!extension.value.equals(Buffer.from([0x30, 0x00]))) {
          throw new AuthorityError('forbidden', 'a device does not get a CA certificate');
        }
        break;
      case OID.keyUsage:
        refuseBeyond('keyUsage', readKeyUsage(extension.value), profile.keyUsage);
        break;
      case OID.extKeyUsage:
        refuseBeyond('extendedKeyUsage', readExtendedKeyUsage(extension.value), profile.eku);
        break;
      default:
        throw new AuthorityError(
          'forbidden',
          `the profile ${profile.name} does not allow the extension ${extension.oid}`,
        );
    }
  }
}

function refuseBeyond(what: string, wished: readonly string[], allowed: readonly string[]): void {
  const beyond = wished.filter((value) => !allowed.includes(value));
  if (beyond.length > 0) {
    throw new AuthorityError(
      'forbidden',
      `${what} ${beyond.join(', ')} is not allowed; allowed: ${allowed.join(', ')}`,
    );
  }
}

function sameSet(a: readonly GeneralName[], b: readonly GeneralName[]): boolean {
  const left = new Set(a.map(canonicalGeneralName));
  const right = new Set(b.map(canonicalGeneralName));
  return left.size === right.size && [...left].every((name) => right.has(name));
}
