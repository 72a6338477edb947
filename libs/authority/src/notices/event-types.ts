import type { AuditAction } from '#audit';

interface EventKind {
  description: string;
  /** What of the entry's detail may be told. What stands in no list is told to nobody. */
  members: readonly string[];
}

const CERTIFICATE = ['profile', 'deviceId', 'supersedes', 'reason', 'obtainedWith'] as const;
const KEY = [
  'releaseId',
  'environment',
  'audience',
  'predecessorId',
  'expiresAt',
  'enroll',
  'from',
  'to',
  'reason',
] as const;
const ENDING = ['days', 'endsAt'] as const;
const ENROLLMENT = ['deviceId', 'profile', 'keyType', 'spkiSha256', 'reason'] as const;
const APPROVAL = ['operation', 'digest', 'target', 'expiresAt'] as const;

/** The closed list of what is told outside. */
const KINDS = {
  'certificate.issued': { description: 'A certificate was issued', members: CERTIFICATE },
  'certificate.renewed': { description: 'A certificate was issued that follows another', members: CERTIFICATE },
  'certificate.expiring': { description: 'A certificate ends in so many days', members: [...CERTIFICATE, ...ENDING] },
  'certificate.renewalOverdue': {
    description: 'A device has used two thirds of its certificate and not renewed it',
    members: [...CERTIFICATE, ...ENDING],
  },
  'certificate.expired': { description: 'A certificate has ended', members: CERTIFICATE },
  'certificate.badKey': {
    description: 'A certificate that is good has a key that is blocked, or found weak since',
    members: [...CERTIFICATE, 'problem', 'why'],
  },
  'certificate.revoked': { description: 'A certificate was revoked', members: CERTIFICATE },
  'certificate.held': { description: 'A certificate was put on hold', members: CERTIFICATE },
  'certificate.released': { description: 'The hold of a certificate was lifted', members: CERTIFICATE },
  'device.suspended': { description: 'A device was suspended', members: ['reason'] },
  'device.resumed': { description: 'The suspension of a device was lifted', members: ['reason'] },
  'device.revoked': { description: 'A device was revoked, with its certificates', members: ['reason'] },
  'domain.lapsed': {
    description: 'A domain lost its proof in DNS; nothing is renewed under it',
    members: ['name'],
  },
  'key.issued': { description: 'An API key was issued', members: KEY },
  'key.rotated': { description: 'The successor of an API key was issued', members: KEY },
  'key.suspended': { description: 'An API key was suspended', members: KEY },
  'key.resumed': { description: 'The suspension of an API key was lifted', members: KEY },
  'key.revoked': { description: 'An API key was revoked', members: KEY },
  'key.leaked': { description: 'An API key was revoked because somebody else knows it', members: KEY },
  'key.exposed': {
    description: 'An API key stood in a query string and may have been logged',
    members: [...KEY, 'plane'],
  },
  'key.expiring': { description: 'An API key ends in so many days', members: [...KEY, ...ENDING] },
  'key.expired': { description: 'An API key has ended', members: KEY },
  'ca.created': { description: 'A CA was made', members: ['kind', 'name', 'keyType'] },
  'ca.activated': { description: 'A CA issues from now on', members: ['name', 'retires'] },
  'ca.rolledOver': { description: 'Another key follows that of a CA', members: ['name', 'successorId', 'keyType'] },
  'ca.crossSigned': { description: 'A CA of somebody else was certified', members: ['form', 'name', 'serial'] },
  'ca.imported': { description: 'A certificate for a CA came in from elsewhere', members: ['name', 'certificate'] },
  'ca.revoked': { description: 'The certificate of a CA was revoked', members: ['reason'] },
  'ca.expiring': { description: 'The certificate of a CA ends in so many days', members: ENDING },
  'ocspDelegate.expiring': { description: 'An OCSP signer was not renewed and ends soon', members: ENDING },
  'approval.proposed': { description: 'Something waits for a second person', members: APPROVAL },
  'approval.executed': { description: 'What a second person approved was done', members: APPROVAL },
  'approval.rejected': { description: 'A second person refused', members: APPROVAL },
  'approval.expired': { description: 'Nobody approved in time', members: APPROVAL },
  'enrollment.pending': { description: 'The first enrollment of a device waits for approval', members: ENROLLMENT },
  'enrollment.approved': { description: 'The first enrollment of a device was approved', members: ENROLLMENT },
  'enrollment.rejected': { description: 'The first enrollment of a device was refused', members: ENROLLMENT },
  'enrollment.expired': { description: 'Nobody decided about an enrollment in time', members: ENROLLMENT },
  'renewal.called': { description: 'Certificates of a group or a CA are to be renewed now', members: ['reason'] },
  'canary.failed': { description: 'The inner canary found a channel that does not work', members: ['channel', 'step'] },
  'webhook.disabled': {
    description: 'A webhook was disabled because its receiver is gone',
    members: ['url', 'reason'],
  },
  'webhook.test': { description: 'A test, sent on request', members: [] },
} as const satisfies Readonly<Record<string, EventKind>>;

export type EventType = keyof typeof KINDS;

export const EVENT_TYPES: readonly { type: EventType; description: string }[] = Object.entries(KINDS).map(
  ([type, { description }]) => ({ type: type as EventType, description }),
);

/** What of the detail may be told with a notice of this type. */
export function toldMembers(type: EventType): readonly string[] {
  return KINDS[type].members;
}

/** Actions that another name tells more of, first the more telling one. */
const REFINED: Partial<
  Readonly<Record<AuditAction, (detail: Readonly<Record<string, unknown>>) => readonly EventType[]>>
> = {
  'certificate.issued': ({ supersedes }) =>
    typeof supersedes === 'string' ? ['certificate.renewed'] : ['certificate.issued'],
  'key.revoked': ({ reason }) => (reason === 'keyCompromise' ? ['key.leaked', 'key.revoked'] : ['key.revoked']),
};

/** Failures are told only where failing is the event. */
const TOLD_FAILURES: readonly string[] = ['canary.failed'];

/**
 * The types that an audit entry can be told as, the most telling first; a listener is told once, as the first one that it
 * listens to. Empty for what is told to nobody.
 */
export function typesOf(entry: {
  action: string;
  outcome: string;
  detail: Readonly<Record<string, unknown>>;
}): readonly EventType[] {
  const { action, outcome, detail } = entry;
  if (outcome !== 'success' && !TOLD_FAILURES.includes(action)) return [];
  const refined = Object.hasOwn(REFINED, action) ? REFINED[action as AuditAction] : undefined;
  if (refined) return refined(detail);
  return isEventType(action) && action !== 'webhook.test' ? [action] : [];
}

export function isEventType(text: string): text is EventType {
  return Object.hasOwn(KINDS, text);
}

const NOUNS = new Set(EVENT_TYPES.map(({ type }) => type.split('.')[0]));

/** A type, all types of a noun (`certificate.*`) or all (`*`). */
export function isEventFilter(text: string): boolean {
  return text === '*' || isEventType(text) || (text.endsWith('.*') && NOUNS.has(text.slice(0, -2)));
}

export function listensTo(filters: readonly string[], type: EventType): boolean {
  return filters.some((filter) => filter === '*' || filter === type || filter === `${type.split('.')[0]}.*`);
}
