import { isAuthorityError, type Lifetimes } from '#kernel';
import { fitsPurpose, isKemKey, OID, type KeyType, type KeyUsage } from '#pki';
import { overEst } from './est-label.js';
import { keyUsageOf, type NameType, type Profile } from './profile.js';
import { validityBounds } from './profile-bounds.js';
import type { ProfileFault } from './profile-document.js';

type Described = Omit<Profile, 'version'>;

interface ProfileRule extends ProfileFault {
  /** `text` says what must be so; a fault means that it is not. */
  holds(profile: Described): boolean;
}

/** Operations of EST: their names cannot be those of labels (E06), and a profile has a label of its name. */
const RESERVED = ['cacerts', 'simpleenroll', 'simplereenroll', 'serverkeygen', 'csrattrs', 'fullcmc'];

const END_ENTITY_USAGES: readonly KeyUsage[] = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
];

/** Of this type of key; empty where it could do nothing. */
function usagesOf(profile: Described, keyType: KeyType): KeyUsage[] {
  try {
    return keyUsageOf(profile, keyType);
  } catch (error) {
    if (!isAuthorityError(error, 'invalid')) throw error;
    return [];
  }
}

const takes = ({ san }: Described, type: NameType): boolean => san.some((rule) => rule.type === type);

/** What a profile that end entities are issued by must hold to. */
const END_ENTITY_RULES: readonly ProfileRule[] = [
  {
    member: 'name',
    text: `must not be the name of an EST operation (${RESERVED.join(', ')})`,
    holds: ({ name }) => !RESERVED.includes(name),
  },
  {
    member: 'ca',
    text: 'must be false: CAs are issued by the shipped profiles alone',
    holds: ({ ca }) => !ca,
  },
  {
    member: 'pathLen',
    text: 'is for CAs only',
    holds: ({ pathLen }) => pathLen === undefined,
  },
  {
    member: 'ocspNoCheck',
    text: 'must be false: it is for OCSP delegates only',
    holds: ({ ocspNoCheck }) => !ocspNoCheck,
  },
  {
    member: 'subject',
    text: 'must be device, name or empty',
    holds: ({ subject }) => subject !== 'given',
  },
  {
    member: 'keyUsage',
    text: `must be some of ${END_ENTITY_USAGES.join(', ')}`,
    holds: ({ keyUsage }) => keyUsage.every((usage) => END_ENTITY_USAGES.includes(usage)),
  },
  {
    member: 'keyUsage',
    text: 'leaves a key of one of keyTypes without any usage that it can have (X16)',
    holds: (profile) => profile.keyTypes.every((keyType) => usagesOf(profile, keyType).length > 0),
  },
  {
    member: 'keyUsage',
    text: 'has a usage that no key of keyTypes can have (X16)',
    holds: (profile) => {
      const possible = new Set(profile.keyTypes.flatMap((keyType) => usagesOf(profile, keyType)));
      return profile.keyUsage.every((usage) => possible.has(usage));
    },
  },
  {
    member: 'eku',
    text: 'must name at least one purpose',
    holds: ({ eku }) => eku.length > 0,
  },
  {
    member: 'eku',
    text: 'must not hold anyExtendedKeyUsage (2.5.29.37.0): name the purposes',
    holds: ({ eku }) => !eku.includes(OID.anyExtendedKeyUsage),
  },
  {
    member: 'eku',
    text: 'must not hold OCSPSigning (1.3.6.1.5.5.7.3.9): it would speak for the CA',
    holds: ({ eku }) => !eku.includes(OID.ocspSigning),
  },
  {
    member: 'eku',
    text: 'must not hold timeStamping (1.3.6.1.5.5.7.3.8), which stands alone and critical (RFC 3161)',
    holds: ({ eku }) => !eku.includes(OID.timeStamping),
  },
  {
    member: 'eku',
    text: 'has a purpose that keyUsage makes impossible for a key of one of keyTypes (X17)',
    holds: (profile) =>
      profile.keyTypes.every((keyType) => {
        const usages = usagesOf(profile, keyType);
        // A key that only enciphers serves those purposes alone that this is enough for, and its certificate names no other.
        const served = profile.eku.filter((oid) => fitsPurpose(oid, usages));
        return isKemKey(keyType) ? served.length > 0 : served.length === profile.eku.length;
      }),
  },
  {
    member: 'approval',
    text: 'must be true where eku has id-kp-cmcRA: such a device enrolls for others (E48)',
    holds: ({ eku, approval }) => approval || !eku.includes(OID.cmcRa),
  },
  {
    member: 'eku',
    text: 'must hold id-kp-sipDomain exactly where san takes SIP domains (S05, S06, SX12)',
    holds: (profile) => profile.eku.includes(OID.sipDomain) === takes(profile, 'sip-domain'),
  },
  {
    member: 'san',
    text: 'must take email where eku has emailProtection (S09)',
    holds: (profile) => !profile.eku.includes(OID.emailProtection) || takes(profile, 'email'),
  },
  {
    member: 'san',
    text: 'must have a rule where the subject is made of a name',
    holds: ({ subject, san }) => subject !== 'name' || san.length > 0,
  },
  {
    member: 'san',
    text: 'must demand a name (min above 0) where the subject is empty (X11)',
    holds: ({ subject, san }) => subject !== 'empty' || san.some(({ min }) => min > 0),
  },
  {
    member: 'supersede.seconds',
    text: 'must be less than validitySeconds: after that there is nothing to supersede',
    holds: ({ supersede, validitySeconds }) => supersede.mode !== 'after' || supersede.seconds < validitySeconds,
  },
];

/** Our own TLS servers live by it too. */
const OWN_SERVER_RULES: readonly ProfileRule[] = [
  {
    member: 'keyTypes',
    text: 'must hold ec-p256: the keys of our own servers',
    holds: ({ keyTypes }) => keyTypes.includes('ec-p256'),
  },
  {
    member: 'eku',
    text: 'must hold serverAuth: our own servers have this profile',
    holds: ({ eku }) => eku.includes(OID.serverAuth),
  },
  {
    member: 'san',
    text: 'must take dns and ip: our own servers have this profile',
    holds: (profile) => takes(profile, 'dns') && takes(profile, 'ip'),
  },
  {
    member: 'subject',
    text: 'must be name: our own servers have this profile',
    holds: ({ subject }) => subject === 'name',
  },
  {
    member: 'revocation',
    text: 'must not be none: our own servers are asked about',
    holds: ({ revocation }) => revocation !== 'none',
  },
];

/** Of those that only the authority issues by, this alone may differ from what is shipped. */
const FREE: readonly (keyof Described)[] = ['description', 'validitySeconds', 'backdateSeconds', 'keyTypes'];
/** Of the keys that we make where nobody asks for another type. */
const OWN_KEY = 'ec-p256';

/** Everything that the members of a profile together break. `shipped`: the one of its name, if there is one. */
export function ruleFaults(profile: Described, shipped: Profile | undefined, lifetimes: Lifetimes): ProfileFault[] {
  const rules = shipped?.name === 'tls-server' ? [...END_ENTITY_RULES, ...OWN_SERVER_RULES] : END_ENTITY_RULES;
  const faults =
    shipped !== undefined && !overEst(shipped)
      ? fixedFaults(profile, shipped)
      : rules.filter((rule) => !rule.holds(profile)).map(({ member, text }) => ({ member, text }));
  const { min, max } = validityBounds(profile, lifetimes);
  if (profile.validitySeconds < min || profile.validitySeconds > max) {
    const why =
      profile.revocation === 'none' && overEst(profile) ? ', as nobody can be told of its revocation (X27)' : '';
    faults.push({ member: 'validitySeconds', text: `must lie between ${min} and ${max} for ${profile.name}${why}` });
  }
  return faults;
}

function fixedFaults(profile: Described, shipped: Profile): ProfileFault[] {
  const fixed = (Object.keys(shipped) as (keyof Profile)[]).filter((one) => one !== 'version' && !FREE.includes(one));
  const faults = (fixed as (keyof Described)[])
    .filter((member) => JSON.stringify(profile[member]) !== JSON.stringify(shipped[member]))
    .map((member): ProfileFault => ({ member, text: `cannot be changed for ${shipped.name}` }));
  const { keyTypes } = profile;
  if (!keyTypes.includes(OWN_KEY) && shipped.name !== 'sub-ca') {
    faults.push({ member: 'keyTypes', text: `must hold ${OWN_KEY} for ${shipped.name}` });
  }
  if (!keyTypes.every((keyType) => shipped.keyTypes.includes(keyType))) {
    faults.push({ member: 'keyTypes', text: `must be some of ${shipped.keyTypes.join(', ')} for ${shipped.name}` });
  }
  return faults;
}

/** What is allowed and yet may surprise, for whoever proposes the profile. */
export function profileWarnings(profile: Described): string[] {
  const warnings: string[] = [];
  if (overEst(profile) && !renewsOverTls(profile)) {
    warnings.push(
      'eku has no clientAuth (1.3.6.1.5.5.7.3.2): a device cannot renew with such a certificate in the TLS handshake; let its label take another way, or reset the device for each renewal',
    );
  }
  if (profile.revocation === 'none') {
    warnings.push('revocation none: a revoked certificate stays good for those that only look at it until it ends');
  }
  return warnings;
}

/** Whether its certificates open the TLS connection of their own renewal: else EST needs another way for it. */
export const renewsOverTls = ({ eku }: Pick<Profile, 'eku'>): boolean => eku.includes(OID.clientAuth);
