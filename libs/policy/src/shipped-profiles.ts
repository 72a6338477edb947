import type { Lifetimes } from '#kernel';
import { OID, type KeyType } from '#pki';
import type { NameRule, Profile } from './profile.js';

/** Shipped profiles; the operators may add others. */
export const SHIPPED_PROFILES = [
  'root-ca',
  'intermediate-ca',
  'issuing-ca',
  'sub-ca',
  'ocsp-responder',
  'tls-server',
  'device',
  'device-short-lived',
  'sip-domain',
  'sip-user',
  'im-user',
  'ike-peer',
  'ra',
] as const;
export type ShippedProfile = (typeof SHIPPED_PROFILES)[number];

const END_ENTITY_KEYS: readonly KeyType[] = [
  'ec-p256',
  'ec-p384',
  'ec-p521',
  'rsa-2048',
  'rsa-3072',
  'rsa-4096',
  'ed25519',
  'ml-dsa-44',
  'ml-dsa-65',
  'ml-dsa-87',
];
/** Of those whose device has a certificate for signatures already: that one proves them (P54). */
const KEM_KEYS: readonly KeyType[] = ['ml-kem-512', 'ml-kem-768', 'ml-kem-1024'];
/** A CA lives long: nothing below 3072 bits of RSA. */
const CA_KEYS: readonly KeyType[] = [
  'ec-p256',
  'ec-p384',
  'ec-p521',
  'rsa-3072',
  'rsa-4096',
  'ed25519',
  'ml-dsa-44',
  'ml-dsa-65',
  'ml-dsa-87',
];
const MINUTE = 60;
const DAY = 86_400;

const COMMON = {
  version: 1,
  backdateSeconds: 10 * MINUTE,
  ocspNoCheck: false,
  approval: false,
  renewal: { sameKey: true, afterExpirySeconds: 0 },
  supersede: { mode: 'never' },
} as const;
const CA = {
  ...COMMON,
  ca: true,
  subject: 'given',
  keyUsage: ['keyCertSign', 'cRLSign'],
  eku: [],
  san: [],
} as const;
const END_ENTITY = {
  ...COMMON,
  ca: false,
  pathLen: undefined,
  keyTypes: END_ENTITY_KEYS,
  keyUsage: ['digitalSignature'],
  revocation: 'crl+ocsp',
} as const;

const names = (type: NameRule['type'], min: number, max: number): NameRule => ({ type, min, max });
const ONE_UUID = names('uuid', 1, 1);

function authorities(
  lifetimes: Lifetimes,
): Record<'root-ca' | 'intermediate-ca' | 'issuing-ca' | 'sub-ca' | 'ocsp-responder', Profile> {
  return {
    'root-ca': {
      ...CA,
      name: 'root-ca',
      description: 'Self-signed root',
      keyTypes: CA_KEYS,
      validitySeconds: lifetimes.rootCa,
      revocation: 'none',
      pathLen: undefined,
    },
    'intermediate-ca': {
      ...CA,
      name: 'intermediate-ca',
      description: 'CA between a root and its issuing CAs',
      keyTypes: CA_KEYS,
      validitySeconds: lifetimes.rootCa,
      revocation: 'crl+ocsp',
      pathLen: undefined,
    },
    'issuing-ca': {
      ...CA,
      name: 'issuing-ca',
      description: 'CA that issues to devices and servers, under the root',
      keyTypes: CA_KEYS,
      validitySeconds: lifetimes.issuingCa,
      revocation: 'crl+ocsp',
      pathLen: 0,
    },
    'sub-ca': {
      ...CA,
      name: 'sub-ca',
      description: 'CA of somebody else, by his request and within name constraints',
      keyTypes: END_ENTITY_KEYS,
      validitySeconds: lifetimes.issuingCa,
      revocation: 'crl+ocsp',
      pathLen: 0,
      approval: true,
    },
    'ocsp-responder': {
      ...END_ENTITY,
      name: 'ocsp-responder',
      description: 'Delegated OCSP signer of one CA key (RFC 6960 section 4.2.2.2)',
      keyTypes: ['ec-p256'],
      eku: [OID.ocspSigning],
      validitySeconds: lifetimes.ocspDelegate,
      subject: 'given',
      san: [],
      revocation: 'none',
      ocspNoCheck: true,
    },
  };
}

const DEVICE = { ...END_ENTITY, subject: 'device', eku: [OID.clientAuth], san: [ONE_UUID] } as const;

function devices({ deviceCertificate }: Lifetimes): Record<'device' | 'device-short-lived' | 'ra', Profile> {
  return {
    device: {
      ...DEVICE,
      name: 'device',
      description: 'TLS client certificate of a device; SAN urn:uuid of its instance',
      validitySeconds: deviceCertificate,
    },
    'device-short-lived': {
      ...DEVICE,
      name: 'device-short-lived',
      description: 'As device, for a day and without revocation service (RFC 9608)',
      validitySeconds: DAY,
      revocation: 'none',
      renewal: { sameKey: true, afterExpirySeconds: 7 * DAY },
    },
    ra: {
      ...DEVICE,
      name: 'ra',
      description: 'Registration authority: enrolls for devices of its organization (id-kp-cmcRA, RFC 6402)',
      validitySeconds: deviceCertificate,
      eku: [OID.clientAuth, OID.cmcRa],
      approval: true,
    },
  };
}

/** Those that carry names besides the device's own, each of which its owner has to own (S20). */
function named(
  lifetimes: Lifetimes,
): Record<'tls-server' | 'sip-domain' | 'sip-user' | 'im-user' | 'ike-peer', Profile> {
  const common = { ...END_ENTITY, validitySeconds: lifetimes.deviceCertificate } as const;
  return {
    'tls-server': {
      ...common,
      name: 'tls-server',
      description: 'HTTPS server: host names and addresses',
      eku: [OID.serverAuth],
      validitySeconds: lifetimes.serverCertificate,
      subject: 'name',
      san: [names('dns', 0, 50), names('ip', 0, 50)],
    },
    'sip-domain': {
      ...common,
      name: 'sip-domain',
      description: 'SIP server or proxy of whole domains (RFC 5922, RFC 5924)',
      eku: [OID.sipDomain, OID.serverAuth, OID.clientAuth],
      subject: 'name',
      san: [names('sip-domain', 1, 50), names('dns', 0, 50)],
    },
    'sip-user': {
      ...common,
      name: 'sip-user',
      description: 'SIP user agent: address of record, and the device where it is bound to one',
      eku: [OID.clientAuth],
      subject: 'empty',
      san: [names('sip-user', 1, 10), names('uuid', 0, 1)],
    },
    'im-user': {
      ...common,
      name: 'im-user',
      description: 'User of mail and instant messaging (S/MIME, RFC 8550)',
      keyTypes: [...END_ENTITY_KEYS, ...KEM_KEYS],
      keyUsage: ['digitalSignature', 'keyEncipherment', 'keyAgreement'],
      eku: [OID.emailProtection, OID.clientAuth],
      subject: 'empty',
      san: [names('email', 1, 10), names('im', 0, 10), names('pres', 0, 10), names('xmpp', 0, 10)],
    },
    'ike-peer': {
      ...common,
      name: 'ike-peer',
      description: 'Peer of IKEv2 (RFC 4945): host name, address or mailbox',
      eku: [OID.ipsecIke],
      subject: 'name',
      san: [names('dns', 0, 10), names('ip', 0, 10), names('email', 0, 10)],
    },
  };
}

/** The shipped profiles with the configured lifetimes. */
export function profiles(lifetimes: Lifetimes): Readonly<Record<ShippedProfile, Profile>> {
  return { ...authorities(lifetimes), ...devices(lifetimes), ...named(lifetimes) };
}

/** The shipped profile of this name; undefined where there is none. */
export function shippedProfile(lifetimes: Lifetimes, name: string): Profile | undefined {
  const shipped = profiles(lifetimes);
  return Object.hasOwn(shipped, name) ? shipped[name as ShippedProfile] : undefined;
}
