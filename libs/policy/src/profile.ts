import { AuthorityError } from '#kernel';
import { isKemKey, OID, type KeyType, type KeyUsage, type LintRules } from '#pki';

/** A name that a certificate may carry, by the form in which it stands in subjectAltName. */
export const NAME_TYPES = [
  /** URI `urn:uuid:<instanceId>` of the device itself (RFC 5626 section 4.1). */
  'uuid',
  /** URI `sip:<domain>` (RFC 5922 section 7.1). */
  'sip-domain',
  /** URI `sip:<user>@<domain>`. */
  'sip-user',
  /** URIs `im:` and `pres:` of a user (RFC 3860, RFC 3859). */
  'im',
  'pres',
  /** otherName id-on-xmppAddr (RFC 6120 section 13.7.1.4). */
  'xmpp',
  /** rfc822Name, or SmtpUTF8Mailbox where the local part is not ASCII (RFC 9598). */
  'email',
  'dns',
  'ip',
] as const;
export type NameType = (typeof NAME_TYPES)[number];

/** How many names of a type a certificate has. */
export interface NameRule {
  type: NameType;
  min: number;
  max: number;
}

/** What becomes of the certificate that a new one takes the place of. */
export type Supersede =
  /** It stays good until it ends. */
  | { mode: 'never' }
  /** Revoked as superseded when the new one is stored. */
  | { mode: 'at-once' }
  /** Revoked as superseded so many seconds after. */
  | { mode: 'after'; seconds: number };

/** What a certificate of this kind may be. A stored certificate keeps the version it was issued by. */
export interface Profile {
  /** Lower-case letters, digits, hyphens; at most 40. */
  name: string;
  version: number;
  description: string;
  keyTypes: readonly KeyType[];
  /** Those of them that a key cannot have are left out (X16). */
  keyUsage: readonly KeyUsage[];
  /** OIDs; empty for CAs. */
  eku: readonly string[];
  validitySeconds: number;
  /** notBefore lies so many seconds back, for clients whose clock is slow. */
  backdateSeconds: number;
  /** `device`: CN=<device id>; `name`: CN=<the first name of subjectAltName>; `empty`: none, the names are critical; `given`: of a CA. */
  subject: 'device' | 'name' | 'empty' | 'given';
  /** Empty: none at all. */
  san: readonly NameRule[];
  /** `none`: noRevAvail in end entities (RFC 9608), id-pkix-ocsp-nocheck in OCSP delegates. */
  revocation: 'crl+ocsp' | 'crl' | 'none';
  ca: boolean;
  /** Only of CAs. */
  pathLen: number | undefined;
  ocspNoCheck: boolean;
  /** Whether somebody has to approve each first certificate. */
  approval: boolean;
  renewal: {
    /** Whether the key may stay (E84). */
    sameKey: boolean;
    /** How long after its end a certificate may still be renewed with; 0: never, but for a device that was allowed to once. */
    afterExpirySeconds: number;
  };
  supersede: Supersede;
}

/** What the linter asks of subjectAltName. */
function sanRule({ san, subject }: Profile): LintRules['san'] {
  if (san.length === 0) return 'forbidden';
  return subject !== 'device' || san.some((rule) => rule.min > 0) ? 'required' : 'optional';
}

/**
 * Bits of keyUsage that a key of this type can have: RFC 9295 section 3, RFC 8813 section 3, RFC 9881 section 5, RFC 9935 section 5
 * (X16, P51, P52). Throws `invalid` (code `keyType`) where nothing of the profile is left.
 */
export function keyUsageOf(profile: Pick<Profile, 'name' | 'keyUsage'>, keyType: KeyType): KeyUsage[] {
  const usage = profile.keyUsage.filter((bit) => {
    if (isKemKey(keyType)) return bit === 'keyEncipherment';
    if (bit === 'keyEncipherment' || bit === 'dataEncipherment') return keyType.startsWith('rsa-');
    return bit !== 'keyAgreement' || keyType.startsWith('ec-');
  });
  if (usage.length === 0) throw useless(profile, keyType);
  return usage;
}

/** Purposes that keyEncipherment alone makes possible (RFC 5280 section 4.2.1.12). */
const BY_ENCIPHERMENT: readonly string[] = [OID.serverAuth, OID.emailProtection];

/** Purposes of the profile that a key of this type can serve (X17). Throws as `keyUsageOf`. */
export function ekuOf(profile: Pick<Profile, 'name' | 'eku'>, keyType: KeyType): string[] {
  const eku = profile.eku.filter((oid) => !isKemKey(keyType) || BY_ENCIPHERMENT.includes(oid));
  if (eku.length === 0 && profile.eku.length > 0) throw useless(profile, keyType);
  return eku;
}

const useless = ({ name }: Pick<Profile, 'name'>, keyType: KeyType): AuthorityError =>
  new AuthorityError('invalid', `a key of type ${keyType} can do nothing that the profile ${name} is for`, {
    code: 'keyType',
  });

/**
 * Whether CRL and OCSP tell of its certificates. Not of those with noRevAvail (X28); a CA or a delegate without revocation
 * service of its own is listed all the same.
 */
export const isPublished = ({ revocation, ca, ocspNoCheck }: Profile): boolean =>
  revocation !== 'none' || ca || ocspNoCheck;

/** The linter's rules for a certificate of this profile under this issuer (undefined: self-signed). */
export function lintRules(profile: Profile, issuer: LintRules['issuer']): LintRules {
  return {
    selfSigned: issuer === undefined,
    issuer,
    ca: profile.ca,
    maxValiditySeconds: profile.validitySeconds + profile.backdateSeconds,
    keyTypes: profile.keyTypes,
    keyUsage: profile.keyUsage,
    eku: profile.eku,
    san: sanRule(profile),
    revocation: profile.revocation,
  };
}

/**
 * notBefore is backdated; both ends count (RFC 5280 section 4.1.2.5), so the last second is one less; nothing outlives its
 * issuer (X06, X08).
 */
export function validity(
  profile: Profile,
  now: Date,
  issuerNotAfter: Date | undefined,
): { notBefore: Date; notAfter: Date } {
  const start = Math.floor(now.getTime() / 1000);
  const end = start + profile.validitySeconds - 1;
  const limit = issuerNotAfter === undefined ? end : Math.floor(issuerNotAfter.getTime() / 1000);
  return {
    notBefore: new Date((start - profile.backdateSeconds) * 1000),
    notAfter: new Date(Math.min(end, limit) * 1000),
  };
}
