import { OID, type KeyType, type KeyUsage, type LintRules } from '#pki';
import type { Lifetimes } from '#kernel';

/** Names of the profiles this release issues by. */
export type ProfileName = 'root-ca' | 'issuing-ca' | 'ocsp-responder' | 'tls-server' | 'device';

/** What a certificate of this kind may be. A stored certificate keeps the version it was issued by. */
export interface Profile {
  name: ProfileName;
  version: number;
  description: string;
  keyTypes: readonly KeyType[];
  keyUsage: readonly KeyUsage[];
  /** OIDs; empty for CAs. */
  eku: readonly string[];
  validitySeconds: number;
  /** notBefore lies so many seconds back, for clients whose clock is slow. */
  backdateSeconds: number;
  san: 'required' | 'optional' | 'forbidden';
  revocation: 'crl+ocsp' | 'crl' | 'none';
  ca: boolean;
  /** Only of CAs. */
  pathLen: number | undefined;
  ocspNoCheck: boolean;
}

const END_ENTITY_KEYS: readonly KeyType[] = [
  'ec-p256',
  'ec-p384',
  'ec-p521',
  'rsa-2048',
  'rsa-3072',
  'rsa-4096',
  'ed25519',
];
const MINUTE = 60;

const END_ENTITY = {
  version: 1,
  backdateSeconds: 10 * MINUTE,
  ca: false,
  pathLen: undefined,
  ocspNoCheck: false,
} as const;
const CA = {
  version: 1,
  backdateSeconds: 10 * MINUTE,
  ca: true,
  keyUsage: ['keyCertSign', 'cRLSign'],
  eku: [],
  san: 'forbidden',
  ocspNoCheck: false,
} as const;

/** The shipped profiles with the configured lifetimes. */
export function profiles(lifetimes: Lifetimes): Readonly<Record<ProfileName, Profile>> {
  return {
    'root-ca': {
      ...CA,
      name: 'root-ca',
      description: 'Self-signed root',
      keyTypes: ['ec-p384'],
      validitySeconds: lifetimes.rootCa,
      revocation: 'none',
      pathLen: undefined,
    },
    'issuing-ca': {
      ...CA,
      name: 'issuing-ca',
      description: 'CA that issues to devices and servers, under the root',
      keyTypes: ['ec-p256', 'ec-p384'],
      validitySeconds: lifetimes.issuingCa,
      revocation: 'crl+ocsp',
      pathLen: 0,
    },
    'ocsp-responder': {
      ...END_ENTITY,
      name: 'ocsp-responder',
      description: 'Delegated OCSP signer of one CA key (RFC 6960 section 4.2.2.2)',
      keyTypes: ['ec-p256'],
      keyUsage: ['digitalSignature'],
      eku: [OID.ocspSigning],
      validitySeconds: lifetimes.ocspDelegate,
      san: 'forbidden',
      revocation: 'none',
      ocspNoCheck: true,
    },
    'tls-server': {
      ...END_ENTITY,
      name: 'tls-server',
      description: "The authority's own HTTPS and EST servers",
      keyTypes: ['ec-p256'],
      keyUsage: ['digitalSignature'],
      eku: [OID.serverAuth],
      validitySeconds: lifetimes.serverCertificate,
      san: 'required',
      revocation: 'crl+ocsp',
    },
    device: {
      ...END_ENTITY,
      name: 'device',
      description: 'TLS client certificate of a device; SAN urn:uuid of its instance',
      keyTypes: END_ENTITY_KEYS,
      keyUsage: ['digitalSignature'],
      eku: [OID.clientAuth],
      validitySeconds: lifetimes.deviceCertificate,
      san: 'required',
      revocation: 'crl+ocsp',
    },
  };
}

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
    san: profile.san,
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
