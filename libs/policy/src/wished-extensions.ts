import { AuthorityError, isAuthorityError } from '#kernel';
import { OID, readExtendedKeyUsage, readKeyUsage, type CertificationRequest, type Extension } from '#pki';
import { ekuOf, keyUsageOf, type Profile } from './profile.js';

/** DER of SEQUENCE {}: cA FALSE is the default and not encoded. */
const NO_CA = Buffer.from([0x30, 0x00]);

/** What speaks against the extensions that a request wishes for (E71). Names are judged elsewhere. */
export function* extensionObjections(
  csr: CertificationRequest,
  profile: Profile,
): Generator<AuthorityError, void, undefined> {
  for (const extension of csr.extensions) {
    try {
      const objection = objectionTo(extension, csr, profile);
      if (objection !== undefined) yield objection;
    } catch (error) {
      if (!isAuthorityError(error)) throw error;
      yield error;
    }
  }
}

function objectionTo(
  { oid, value }: Extension,
  { publicKey }: CertificationRequest,
  profile: Profile,
): AuthorityError | undefined {
  switch (oid) {
    case OID.subjectAltName:
    case OID.subjectKeyIdentifier:
      return undefined;
    case OID.basicConstraints:
      return value.equals(NO_CA) ? undefined : refused('a device does not get a CA certificate');
    case OID.keyUsage:
      return beyond('keyUsage', readKeyUsage(value), keyUsageOf(profile, publicKey.keyType));
    case OID.extKeyUsage:
      return beyond('extendedKeyUsage', readExtendedKeyUsage(value), ekuOf(profile, publicKey.keyType));
    default:
      return refused(`the profile ${profile.name} does not allow the extension ${oid}`);
  }
}

function beyond(what: string, wished: readonly string[], allowed: readonly string[]): AuthorityError | undefined {
  const over = wished.filter((value) => !allowed.includes(value));
  if (over.length === 0) return undefined;
  return refused(`${what} ${over.join(', ')} is not allowed; allowed: ${allowed.join(', ')}`);
}

const refused = (detail: string): AuthorityError => new AuthorityError('forbidden', detail, { code: 'usage' });
