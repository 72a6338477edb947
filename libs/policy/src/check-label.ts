import { AuthorityError } from '#kernel';
import { OID } from '#pki';
import { overEst, type EstLabel } from './est-label.js';
import type { Profile } from './profile.js';

/** What a label is checked against: what it names must be there. */
export interface LabelFacts {
  /** The profile that it names; undefined: there is none. */
  profile: Profile | undefined;
  /** Names of the sets of trust anchors that there are. */
  anchors: ReadonlySet<string>;
  /** The name reads as a part of the path itself (RFC 7030 section 3.2.2, E06). */
  reserved: boolean;
}

/** Unreserved characters of RFC 3986: one segment that is written in one way only (E07). */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$/;

/** Throws `invalid`, with the member at fault, for what no label may be. */
export function checkLabel(label: EstLabel, { profile, anchors, reserved }: LabelFacts): void {
  if (!NAME.test(label.name)) {
    throw fault('name', 'letters, digits, ".", "_", "~" and "-", at most 64, the first a letter or digit');
  }
  if (reserved) throw fault('name', `${label.name} is a segment of the path of EST itself`);
  if (profile === undefined) throw fault('profile', `there is no profile ${label.profile}`);
  if (!overEst(profile)) throw fault('profile', `nothing is issued by ${profile.name} over EST`);
  checkAuthentication(label);
  checkKeys(label, profile);
  checkAnchors(label, anchors);
  checkLink(label);
}

function checkAuthentication({ authentication, digest, challengePassword }: EstLabel): void {
  if (authentication.length === 0) throw fault('authentication', 'at least one way');
  if (new Set(authentication).size !== authentication.length) throw fault('authentication', 'each way once');
  const secret = authentication.includes('secret');
  if (digest && !secret) throw fault('digest', 'only where a secret is taken');
  if (challengePassword === 'secret' && !secret) throw fault('challengePassword', 'only where a secret is taken');
}

/** Many hold the API key of an app: none of them becomes a registration authority by it. Nor does one become it by the word of another. */
function checkKeys({ authentication, registers }: EstLabel, profile: Profile): void {
  const keys = authentication.includes('apiKey');
  if (registers && !keys) throw fault('registers', 'only where an API key is taken');
  if (keys && profile.eku.includes(OID.cmcRa)) {
    throw fault('authentication', `an API key does not enroll for the profile ${profile.name}`);
  }
  if (authentication.includes('ra') && profile.eku.includes(OID.cmcRa)) {
    throw fault('authentication', `a registration authority does not enroll for the profile ${profile.name}`);
  }
}

function checkAnchors({ anchors, authentication }: EstLabel, known: ReadonlySet<string>): void {
  const takes = authentication.includes('manufacturer');
  if (takes && anchors.length === 0) throw fault('anchors', 'manufacturer needs a set of trust anchors');
  if (!takes && anchors.length > 0) throw fault('anchors', 'only where authentication has manufacturer');
  if (new Set(anchors).size !== anchors.length) throw fault('anchors', 'each set once');
  const absent = anchors.find((name) => !known.has(name));
  if (absent !== undefined) throw fault('anchors', `there is no set of trust anchors ${absent}`);
}

/** A connection that ends at a proxy is another one than the client's: nothing can be linked to it. */
function checkLink({ channelBinding, proxy, challengePassword }: EstLabel): void {
  if (channelBinding !== 'required') return;
  if (proxy) throw fault('channelBinding', 'cannot be required behind a proxy that ends TLS');
  if (challengePassword === 'secret') throw fault('channelBinding', 'challengePassword cannot hold both');
}

const fault = (member: string, text: string): AuthorityError =>
  new AuthorityError('invalid', `${member}: ${text}`, { member });
