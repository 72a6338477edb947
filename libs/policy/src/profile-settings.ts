import { AuthorityError, type Lifetimes } from '#kernel';
import type { KeyType } from '#pki';
import type { Profile } from './profile.js';
import { profiles, type ShippedProfile } from './shipped-profiles.js';

/** What of a profile can be changed while the authority runs. Absent: as shipped and configured. */
export interface ProfileSettings extends Partial<Pick<Profile, 'approval' | 'renewal' | 'supersede'>> {
  validitySeconds?: number | undefined;
  keyTypes?: readonly KeyType[] | undefined;
}

const DAY = 86_400;
const SHORTEST = 60;
/** CA/Browser Forum Baseline Requirements, section 6.3.2, before March 2026: what clients take of a TLS certificate. */
const LONGEST_END_ENTITY = 398 * DAY;
/** A delegate is not asked about by anybody (id-pkix-ocsp-nocheck): a stolen key is good until its end. */
const LONGEST_DELEGATE = 90 * DAY;

/** Only these are issued by again and again; there is one root, and it is made. */
export const CHANGEABLE_PROFILES = [
  'issuing-ca',
  'ocsp-responder',
  'tls-server',
  'device',
] as const satisfies readonly ShippedProfile[];
export type ChangeableProfile = (typeof CHANGEABLE_PROFILES)[number];

/** Seconds, both included. What is renewed must live longer than the time left for its renewal. */
export function validityBounds(name: ChangeableProfile, lifetimes: Lifetimes): { min: number; max: number } {
  switch (name) {
    case 'issuing-ca':
      return { min: lifetimes.deviceCertificate + 1, max: lifetimes.rootCa - 1 };
    case 'ocsp-responder':
      return { min: Math.max(SHORTEST, lifetimes.ocspDelegateRenew + 1), max: LONGEST_DELEGATE };
    case 'tls-server':
      return { min: Math.max(SHORTEST, lifetimes.serverCertificateRenew + 1), max: LONGEST_END_ENTITY };
    case 'device':
      return { min: SHORTEST, max: LONGEST_END_ENTITY };
    default: {
      const unknown: never = name;
      throw new AuthorityError('internal', `no bounds of ${String(unknown)}`);
    }
  }
}

/** Throws `invalid`, with the member at fault, for settings that the profile must not have. */
export function checkProfileSettings(name: ChangeableProfile, settings: ProfileSettings, lifetimes: Lifetimes): void {
  const { validitySeconds, keyTypes } = settings;
  const { min, max } = validityBounds(name, lifetimes);
  if (validitySeconds !== undefined && (validitySeconds < min || validitySeconds > max)) {
    throw new AuthorityError('invalid', `validitySeconds: must lie between ${min} and ${max} for ${name}`, {
      member: 'validitySeconds',
    });
  }
  if (keyTypes === undefined) return;
  const shipped = profiles(lifetimes)[name];
  if (shipped.ca || shipped.ocspNoCheck) {
    throw new AuthorityError('invalid', `keyTypes: those of ${name} cannot be changed`, { member: 'keyTypes' });
  }
  const known = keyTypes.filter((one) => shipped.keyTypes.includes(one));
  if (keyTypes.length === 0 || new Set(known).size !== keyTypes.length) {
    throw new AuthorityError('invalid', `keyTypes: must be some of ${shipped.keyTypes.join(', ')}, each once`, {
      member: 'keyTypes',
    });
  }
}

/** The shipped profile with what was changed since. */
export function withSettings(shipped: Profile, version: number, settings: ProfileSettings): Profile {
  const { validitySeconds = shipped.validitySeconds, keyTypes } = settings;
  const { approval = shipped.approval, renewal = shipped.renewal, supersede = shipped.supersede } = settings;
  // In the order of the shipped ones, and never one that a later release does not take any more.
  const allowed = keyTypes === undefined ? shipped.keyTypes : shipped.keyTypes.filter((one) => keyTypes.includes(one));
  return { ...shipped, version, validitySeconds, keyTypes: allowed, approval, renewal, supersede };
}
