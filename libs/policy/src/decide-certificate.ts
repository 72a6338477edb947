import { AuthorityError, isAuthorityError } from '#kernel';
import {
  canonicalGeneralName,
  checkKeyStrength,
  encodeName,
  namesEqual,
  type Certificate,
  type CertificationRequest,
  type GeneralName,
  type Name,
} from '#pki';
import type { EstLabel } from './est-label.js';
import { nameTypeOf } from './name-type.js';
import type { Profile } from './profile.js';
import { extensionObjections } from './wished-extensions.js';

/** What is known of a device when it asks for a certificate. */
export interface DeviceFacts {
  /** Status of the device and of its group by the log. */
  suspended: boolean;
  revoked: boolean;
}

/** Names that the device owns by the registry: all that its certificate will carry. */
export interface EntitledNames {
  subject: Name;
  san: GeneralName[];
}

export interface CertificateRequest {
  profile: Profile;
  device: DeviceFacts;
  entitled: EntitledNames;
  csr: CertificationRequest;
  /** The certificate being renewed; undefined for a first enrollment. */
  current: Certificate | undefined;
  /** Of the label: what a renewal without subjectAltName is (E81). */
  missingSan: EstLabel['missingSan'];
  /**
   * DER of the subject by which a third party knows the device. A first request may name it instead of its own (RFC 7030
   * section 4.2.1), and may ask for its own names by ChangeSubjectName (E86).
   */
  knownAs?: Buffer | undefined;
}

export interface CertificateDecision extends EntitledNames {
  /** A renewal under other names: authorized, and approved where the profile wants it, as a first certificate (E82). */
  newIdentity: boolean;
}

type Objections = Generator<AuthorityError, void, undefined>;

/**
 * The one decision about a certificate, whichever way it was asked for, first or renewed. What the request wishes beyond
 * the profile is refused aloud: `forbidden` for what this device may not have, `malformed` and `invalid` for form. Throws
 * the first objection. (RFC 7030 sections 4.2.1 and 4.2.2, RFC 6402 section 2.8)
 */
export function decideCertificate(request: CertificateRequest): CertificateDecision {
  for (const objection of objections(request)) throw objection;
  const { csr, current, entitled } = request;
  const newIdentity = current !== undefined && csr.changeSubjectName !== undefined;
  if (current === undefined || newIdentity) return { ...entitled, newIdentity };
  // E81: equal names stay as they are written.
  return { subject: current.subject, san: current.san, newIdentity };
}

/** Everything that speaks against it, one after the other: whoever needs only the first does not pay for the others. */
export function* objections(request: CertificateRequest): Objections {
  const { device, csr, profile, current } = request;
  if (device.revoked) yield new AuthorityError('forbidden', 'the device is revoked');
  if (device.suspended) yield new AuthorityError('forbidden', 'the device or its group is suspended');
  yield* thrownBy(() => checkKeyStrength(csr.publicKey));
  const { keyType, spki } = csr.publicKey;
  if (!profile.keyTypes.includes(keyType)) {
    yield new AuthorityError(
      'invalid',
      `keys of type ${keyType} are not allowed; allowed: ${profile.keyTypes.join(', ')}`,
      { code: 'keyType' },
    );
  }
  if (current !== undefined && !profile.renewal.sameKey && current.publicKey.spki.equals(spki)) {
    yield new AuthorityError('forbidden', `the profile ${profile.name} wants a new key for each certificate (E84)`, {
      code: 'sameKey',
    });
  }
  yield* profileObjections(request);
  if (current !== undefined) yield* renewalObjections(request, current);
  else if (csr.changeSubjectName !== undefined) yield* firstChangeObjections(request, csr.changeSubjectName);
  else yield* wishedNameObjections(request);
  yield* extensionObjections(csr, profile);
}

/** The names of the registry against the rules of the profile. */
function* profileObjections({ profile, entitled: { san } }: CertificateRequest): Objections {
  const counts = new Map<string, number>();
  for (const name of san) {
    const type = nameTypeOf(name);
    if (type !== undefined && profile.san.some((rule) => rule.type === type)) {
      counts.set(type, (counts.get(type) ?? 0) + 1);
    } else yield notNames(`the profile ${profile.name} takes no name like ${canonicalGeneralName(name)}`);
  }
  for (const { type, min, max } of profile.san) {
    const count = counts.get(type) ?? 0;
    if (count < min || count > max) {
      const wanted = min === max ? String(min) : `${min} to ${max}`;
      yield notNames(`the device has ${count} names of type ${type}; the profile ${profile.name} takes ${wanted}`);
    }
  }
  if (san.length === 0 && profile.subject !== 'device') {
    yield notNames(`the device has no names for the profile ${profile.name}`);
  }
}

/** A first request may leave names out; what it names must be the device's own. */
function* wishedNameObjections({ csr, profile, knownAs, entitled }: CertificateRequest): Objections {
  const { subject, san } = entitled;
  const known = knownAs !== undefined && namesEqual(csr.subjectDer, knownAs);
  if (csr.subject.length > 0 && !known && !namesEqual(csr.subjectDer, encodeName(subject))) {
    const wanted = profile.subject === 'device' ? 'CN=<device id>' : 'the subject that the device will have';
    yield notNames(`the subject of the request must be empty or ${wanted}`);
  }
  if (!isWithin(csr.san ?? [], san)) {
    yield notNames('the request names something in subjectAltName that is not of this device');
  }
}

/** E86: subject and SAN are those of the third party's certificate, and say nothing of what is to be issued. */
function* firstChangeObjections(request: CertificateRequest, change: Change): Objections {
  if (request.knownAs === undefined) {
    yield notNames(
      'ChangeSubjectName: a first request names what it wants, and has no certificate that names something else',
    );
  }
  yield* changeObjections(request, change);
}

type Change = NonNullable<CertificationRequest['changeSubjectName']>;

/** E83: an absent subject is an empty one, absent names are none. Nobody gets only some of what the registry has. */
function* changeObjections({ entitled: { subject, san } }: CertificateRequest, change: Change): Objections {
  const subjectDer = change.subjectDer ?? encodeName([]);
  if (!namesEqual(subjectDer, encodeName(subject)) || !sameSet(change.san ?? [], san)) {
    yield notNames('ChangeSubjectName: these are not the names that the device has in the registry');
  }
}

function* renewalObjections(request: CertificateRequest, current: Certificate): Objections {
  const { csr, entitled, missingSan } = request;
  if (csr.changeSubjectName === undefined) yield* ownObjections(current, entitled);
  else {
    yield* changeObjections(request, csr.changeSubjectName);
    // A UUID is its device's for ever (S23): a certificate that has another one is another device's.
    const uuids = uuidsOf(current.san);
    if (uuids.length > 0 && !isWithin(uuidsOf(entitled.san), uuids)) yield notOwn();
  }
  // E81: names equal by RFC 5280 section 7.1, SAN as a set.
  if (!namesEqual(csr.subjectDer, current.subjectDer)) {
    yield new AuthorityError('malformed', 'the subject of the request is not that of the certificate being renewed');
  }
  if (csr.san === undefined && current.san.length > 0) {
    if (missingSan === 'refuse') {
      yield new AuthorityError('malformed', 'the request lacks the subjectAltName of the certificate being renewed');
    }
  } else if (!sameSet(csr.san ?? [], current.san)) {
    yield new AuthorityError(
      'malformed',
      'the subjectAltName of the request is not that of the certificate being renewed',
    );
  }
}

/** The certificate being renewed must say of the device what the registry says: a row moved in the database renews nothing. */
function* ownObjections(current: Certificate, { subject, san }: EntitledNames): Objections {
  if (namesEqual(current.subjectDer, encodeName(subject)) && sameSet(current.san, san)) return;
  if (!sameSet(uuidsOf(current.san), uuidsOf(san))) yield notOwn();
  else {
    yield notNames(
      'the device has other names now than its certificate: ask for them by ChangeSubjectName, or enroll anew after a reset',
    );
  }
}

const notOwn = (): AuthorityError => notNames('the certificate is not that of the device it is recorded for');

const notNames = (detail: string): AuthorityError => new AuthorityError('forbidden', detail, { code: 'names' });

const uuidsOf = (san: readonly GeneralName[]): GeneralName[] => san.filter((name) => nameTypeOf(name) === 'uuid');

function* thrownBy(work: () => void): Objections {
  try {
    work();
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    yield error;
  }
}

function isWithin(names: readonly GeneralName[], all: readonly GeneralName[]): boolean {
  const known = new Set(all.map(canonicalGeneralName));
  return names.every((name) => known.has(canonicalGeneralName(name)));
}

const sameSet = (a: readonly GeneralName[], b: readonly GeneralName[]): boolean => isWithin(a, b) && isWithin(b, a);
