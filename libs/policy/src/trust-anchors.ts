import { AuthorityError } from '#kernel';
import { fromPem, readCertificate, type Certificate } from '#pki';

/** How a device gets to be known by a certificate of its manufacturer. */
export const ANCHOR_REGISTRATIONS = [
  /** An operator registered it with its identity. */
  'preregistered',
  /** By its first request. */
  'automatic',
  /** By its first request, and somebody approves the certificate. */
  'approval',
] as const;
export type AnchorRegistration = (typeof ANCHOR_REGISTRATIONS)[number];

/** Where the identity of a device stands in its manufacturer's certificate. */
export const IDENTITY_SOURCES = [
  /** Attribute serialNumber of the subject (IEEE 802.1AR section 8.6). */
  'serialNumber',
  /** SAN otherName id-on-hardwareModuleName (RFC 4108 section 5). */
  'hardwareModuleName',
  'commonName',
  /** SHA-256 of its public key. */
  'key',
] as const;
export type IdentitySource = (typeof IDENTITY_SOURCES)[number];

/** Whom besides us a label may trust to tell devices: the implicit anchors of RFC 7030 section 3.3.2. */
export interface TrustAnchors {
  name: string;
  version: number;
  description: string;
  /** PEM; a path ends at one of these, self-signed or not. What they limit themselves to holds. */
  certificates: readonly string[];
  /** PEM; for paths, trusted for nothing. */
  intermediates: readonly string[];
  /** The app whose devices these are. */
  appId: string;
  register: AnchorRegistration;
  /** Devices that may register themselves in a minute. */
  registersPerMinute: number;
  identity: IdentitySource;
  /** Whether revocation is told by CRLs that an operator brings, or not at all. */
  revocation: 'none' | 'crl';
  /** How old a CRL may be, whatever it says of its next; only with `crl`. */
  crlMaxAgeSeconds: number | null;
}

const NAME = /^[a-z0-9][a-z0-9-]{0,39}$/;
const MAX_CERTIFICATES = 20;

/** Throws `invalid`, with the member at fault, for what no set may be. Whether its app is there is the caller's to know. */
export function checkTrustAnchors(set: TrustAnchors): void {
  if (!NAME.test(set.name)) throw fault('name', 'lower-case letters, digits and "-", at most 40');
  if (set.certificates.length === 0) throw fault('certificates', 'at least one');
  for (const member of ['certificates', 'intermediates'] as const) {
    if (set[member].length > MAX_CERTIFICATES) throw fault(member, `at most ${MAX_CERTIFICATES}`);
    for (const certificate of set[member].map((pem) => readOne(member, pem))) {
      if (certificate.basicConstraints?.ca === false) throw fault(member, 'one of them is not an authority');
      if (certificate.keyUsage?.includes('keyCertSign') === false) {
        throw fault(member, 'one of them may not sign certificates');
      }
    }
  }
  if ((set.revocation === 'crl') !== (set.crlMaxAgeSeconds !== null)) {
    throw fault('crlMaxAgeSeconds', 'says how old a CRL may be where revocation is crl, and is null elsewhere');
  }
}

/** DER of each certificate of a member. */
export const anchorCertificates = (set: TrustAnchors, member: 'certificates' | 'intermediates'): Certificate[] =>
  set[member].map((pem) => readOne(member, pem));

function readOne(member: string, pem: string): Certificate {
  try {
    const blocks = fromPem(pem, 'CERTIFICATE');
    const [der] = blocks;
    if (der === undefined || blocks.length > 1) throw new AuthorityError('malformed', 'not one certificate');
    return readCertificate(der);
  } catch (cause) {
    throw new AuthorityError('invalid', `${member}: each must be one certificate as PEM`, { member, cause });
  }
}

const fault = (member: string, text: string): AuthorityError =>
  new AuthorityError('invalid', `${member}: ${text}`, { member });
