import { canonicalJson, type CanonicalValue } from './canonical.js';

/** Every column of an audit row but its number, which `audit_leaves` ties to the leaf. */
export interface AuditColumns {
  /** RFC 3339, UTC, as many digits of the second as the database keeps: `2026-03-01T12:00:00.123000Z`. */
  at: string;
  actor: string;
  action: string;
  subject: string;
  outcome: string;
  requestId: string;
  canonical: Buffer;
  ownerOrgId: string | null;
  issuerOrgId: string | null;
}

/** How the line of an entry begins that is as it was written. */
export const ENTRY_START = '{"action":';

/**
 * The line that stands for a row in an export, and as a leaf in the tree: its canonical bytes where all columns say the
 * same, as they do in every row that this code wrote. Otherwise a line of another form that tells both, so that no column
 * can be changed without changing the line.
 */
export function auditLine(row: AuditColumns): Buffer {
  const { canonical, actor, action, subject, outcome, requestId, ownerOrgId, issuerOrgId } = row;
  // Entries are written with milliseconds: digits below can only come from an edit.
  const at = row.at.replace(/000Z$/, 'Z');
  const told = { at, actor, action, subject, outcome, requestId, ownerOrgId, issuerOrgId };
  if (asWritten(canonical, told)) return canonical;
  return Buffer.from(canonicalJson({ canonical: canonical.toString('base64'), columns: told, v: 1 }));
}

/** The line of a leaf whose event is not in the table: no entry has this form. */
export function missingLine(leafIndex: number, eventId: string | undefined): Buffer {
  return Buffer.from(canonicalJson({ event: eventId ?? null, leaf: leafIndex, missing: true, v: 1 }));
}

function asWritten(canonical: Buffer, told: Record<string, string | null>): boolean {
  try {
    const entry = JSON.parse(canonical.toString('utf8')) as Record<string, CanonicalValue>;
    return canonical.equals(Buffer.from(canonicalJson({ ...entry, ...told })));
  } catch {
    return false;
  }
}
