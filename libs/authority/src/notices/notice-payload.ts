import { canonicalJson, type CanonicalValue } from '#audit';
import { redactCredentials } from '#credential';
import { toldMembers, type EventType } from './event-types.js';

const MAX_TEXT = 300;

/** The detail of an approval calls its target as the entry calls the approval. */
const CALLED: Readonly<Record<string, string>> = { target: 'subject' };

/** A sealed audit entry as its own bytes tell it. */
export interface SealedEntry {
  at: Date;
  action: string;
  subject: string;
  outcome: string;
  detail: Readonly<Record<string, unknown>>;
  organizationIds: string[];
}

/** Reads the canonical bytes of an entry; undefined for bytes that no entry of ours has. */
export function readSealedEntry(canonical: Buffer): SealedEntry | undefined {
  const entry = parse(canonical);
  if (entry === undefined) return undefined;
  const { at, action, subject, outcome, detail, ownerOrgId, issuerOrgId } = entry;
  if (typeof at !== 'string' || typeof action !== 'string' || typeof subject !== 'string') return undefined;
  const time = new Date(at);
  if (typeof outcome !== 'string' || !isRecord(detail) || Number.isNaN(time.getTime())) return undefined;
  const organizationIds = [ownerOrgId, issuerOrgId].filter((id) => typeof id === 'string');
  return { at: time, action, subject, outcome, detail, organizationIds: [...new Set(organizationIds)] };
}

/**
 * The body of a notice, RFC 8785 JSON: `{type, timestamp, data: {id, subject, ...}}`, timestamp RFC 3339. Of the entry's
 * detail only the members of the type's list, and of those only plain values; who did it is not told.
 */
export function noticePayload(
  type: EventType,
  noticeId: string,
  entry: Pick<SealedEntry, 'at' | 'subject' | 'detail'>,
): Buffer {
  const data: Record<string, CanonicalValue> = {};
  for (const member of toldMembers(type)) {
    const value = told(entry.detail[CALLED[member] ?? member]);
    if (value !== undefined) data[member] = value;
  }
  const body = { type, timestamp: entry.at.toISOString(), data: { ...data, id: noticeId, subject: entry.subject } };
  return Buffer.from(canonicalJson(body));
}

function told(value: unknown): CanonicalValue | undefined {
  if (typeof value === 'string') return redactCredentials(value.slice(0, MAX_TEXT));
  if (typeof value === 'boolean' || Number.isSafeInteger(value)) return value as CanonicalValue;
  return undefined;
}

function parse(canonical: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(canonical.toString());
    return isRecord(value) ? value : undefined;
  } catch {
    // Not an entry: whoever seals it will find out; nobody is told of it.
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
