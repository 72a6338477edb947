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

/** Throws `malformed` (member `cursor`) for anything that `encodeCursor` did not make for `length` parts. */
export function decodeCursor(cursor: string, length: number): string[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (Array.isArray(parts) && parts.length === length && parts.every((part) => typeof part === 'string')) return parts;
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
