import type { Lifetimes } from '#kernel';
import type { Profile } from './profile.js';

const HOUR = 3600;
const DAY = 24 * HOUR;
const SHORTEST = 60;
/** CA/Browser Forum Baseline Requirements, section 6.3.2, before March 2026: what clients take of a TLS certificate. */
const LONGEST_END_ENTITY = 398 * DAY;
/** A delegate is not asked about by anybody (id-pkix-ocsp-nocheck): a stolen key is good until its end. */
const LONGEST_DELEGATE = 90 * DAY;
/** Nor is a certificate with noRevAvail (RFC 9608 section 4: short enough that its end comes before a revocation would help). */
export const LONGEST_WITHOUT_REVOCATION = 7 * DAY;

/** Seconds, both included; of overlaps and of renewal after the end. */
export const DELAY = { min: 60, max: 30 * DAY } as const;
/** A clock that is further behind is wrong, not slow. */
export const BACKDATE = { min: 0, max: HOUR } as const;
export const MAX_NAMES_OF_TYPE = 100;

/** How many profiles may be added to the shipped ones. */
export const MAX_CUSTOM_PROFILES = 100;

/** Seconds, both included. What is renewed must live longer than the time left for its renewal. */
export function validityBounds(
  { name, revocation, ca }: Pick<Profile, 'name' | 'revocation' | 'ca'>,
  lifetimes: Lifetimes,
): { min: number; max: number } {
  if (ca) {
    const max = name === 'issuing-ca' ? lifetimes.rootCa - 1 : lifetimes.rootCa;
    return { min: lifetimes.deviceCertificate + 1, max };
  }
  if (name === 'ocsp-responder') {
    return { min: Math.max(SHORTEST, lifetimes.ocspDelegateRenew + 1), max: LONGEST_DELEGATE };
  }
  const max = revocation === 'none' ? LONGEST_WITHOUT_REVOCATION : LONGEST_END_ENTITY;
  return { min: name === 'tls-server' ? Math.max(SHORTEST, lifetimes.serverCertificateRenew + 1) : SHORTEST, max };
}
