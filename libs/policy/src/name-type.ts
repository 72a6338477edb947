import { OID, type GeneralName, type Name } from '#pki';
import type { NameType, Profile } from './profile.js';

const MAX_COMMON_NAME = 64;

/**
 * Which of the names that profiles know a GeneralName is; undefined for one that no profile takes (`sips:` is no SIP
 * domain, S01). By its shape alone: whether the form is right and whose it is are other questions.
 */
export function nameTypeOf(name: GeneralName): NameType | undefined {
  switch (name.type) {
    case 'dns':
    case 'ip':
    case 'email':
      return name.type;
    case 'uri':
      return typeOfUri(name.value);
    case 'other':
      if (name.oid === OID.xmppAddr) return 'xmpp';
      return name.oid === OID.smtpUtf8Mailbox ? 'email' : undefined;
    default:
      return undefined;
  }
}

function typeOfUri(uri: string): NameType | undefined {
  if (/^urn:uuid:/i.test(uri)) return 'uuid';
  const scheme = uri.slice(0, Math.max(uri.indexOf(':'), 0)).toLowerCase();
  if (scheme === 'sip') return uri.includes('@') ? 'sip-user' : 'sip-domain';
  return scheme === 'im' || scheme === 'pres' ? scheme : undefined;
}

/**
 * The subject of a certificate by the rule of its profile. `name`: the first of the names that fits into a common name
 * (64 characters); where none does the subject is empty and the names are critical (X11).
 */
export function subjectOf(profile: Pick<Profile, 'subject'>, deviceId: string, san: readonly GeneralName[]): Name {
  switch (profile.subject) {
    case 'device':
      return commonName(deviceId);
    case 'name': {
      const text = san.map(textOf).find((one) => one !== undefined && one.length <= MAX_COMMON_NAME);
      return text === undefined ? [] : commonName(text);
    }
    default:
      return [];
  }
}

const commonName = (value: string): Name => [[{ type: OID.commonName, value }]];

/** Without its scheme. */
function textOf(name: GeneralName): string | undefined {
  switch (name.type) {
    case 'dns':
    case 'ip':
    case 'email':
      return name.value;
    case 'uri':
      return name.value.slice(name.value.indexOf(':') + 1);
    default:
      return undefined;
  }
}
