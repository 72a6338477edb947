import { AuthorityError } from '#kernel';

/** Keyset page, newest first. `cursor` is what the page before returned. */
export interface PageRequest {
  limit: number;
  cursor?: string | undefined;
}

export interface Page<T> {
  items: T[];
  nextCursor: string | null;
}

/** The sort key of the last row, opaque to callers. */
export function encodeCursor(parts: readonly string[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** What a part of a sort key looks like: Postgres must be able to read whatever passes. */
export const CURSOR_PART = {
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  /** Ids, and times as microseconds since 1970: a Date would lose the last three digits. */
  number: /^\d{1,17}$/,
  serial: /^([0-9a-f]{2}){1,20}$/,
  digest: /^[0-9a-f]{64}$/,
  credential: /^[0-9A-Za-z]{14}$/,
} as const;

/** Throws `malformed` (member `cursor`) for anything that `encodeCursor` did not make for parts of this form. */
export function decodeCursor(cursor: string, form: readonly (keyof typeof CURSOR_PART)[]): string[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    const fits = (part: unknown, at: number) => {
      const kind = form[at];
      return typeof part === 'string' && kind !== undefined && CURSOR_PART[kind].test(part);
    };
    if (Array.isArray(parts) && parts.length === form.length && parts.every(fits)) return parts as string[];
  } catch {
    // falls through to the one answer for every unusable cursor
  }
  throw new AuthorityError('malformed', 'cursor: not one that this list returned', { member: 'cursor' });
}

/** Cuts the one row too many that the query asked for and makes the cursor from the last one kept. */
export function toPage<T>(rows: T[], limit: number, key: (row: T) => readonly string[]): Page<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? encodeCursor(key(last)) : null };
}
