import { z } from 'zod';
import { isId } from '#store';

/** Text that people type: no control characters, which would forge log lines or break the database's text. */
export const text = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\p{Cc}]*$/u, 'must not contain control characters');

export const id = z.string().max(64).meta({ description: 'UUID' });
export const time = z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC' });
export const hex = z.string().meta({ description: 'lower-case hex' });

/** RFC 3339 with any offset, as Date. */
export const instant = z
  .string()
  .max(40)
  .regex(
    /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/,
    'must be an RFC 3339 time, for example 2027-01-31T12:00:00Z',
  )
  .refine((value) => !Number.isNaN(Date.parse(value)), 'must be a time that exists')
  .meta({ format: 'date-time' });

export const country = z.string().regex(/^[A-Z]{2}$/, 'must be an ISO 3166-1 alpha-2 code in capitals');

/** For POSTs without members: nothing, or an empty object. */
export const nothing = z.strictObject({}).optional();

const TIMESTAMP = /^(\d{4})-(\d{2})-(\d{2}) ([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?[+-]\d{2}(?::\d{2})?$/;

const CURSOR_PARTS = {
  id: isId,
  number: (part: string) => /^\d{1,18}$/.test(part),
  timestamp: isTimestamp,
  keyId: (part: string) => /^[0-9A-Za-z]{14}$/.test(part),
  serial: (part: string) => /^(?:[0-9a-f]{2}){1,20}$/.test(part),
} as const;
type CursorPart = keyof typeof CURSOR_PARTS;

/** A cursor is opaque to callers and untrusted here: each of its parts must have the form that the list gave it. */
const cursor = (parts: readonly CursorPart[]) =>
  z
    .string()
    .max(512)
    .refine((value) => isCursor(value, parts), 'must be the nextCursor of the page before');

/** Query of a list, with its own filters beside. */
export const pageQuery = (...parts: CursorPart[]) => ({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: cursor(parts).optional(),
});

export const pageOf = <T extends z.ZodType>(item: T) =>
  z.strictObject({ items: z.array(item), nextCursor: z.string().nullable() });

function isCursor(value: string, parts: readonly CursorPart[]): boolean {
  try {
    const found: unknown = JSON.parse(Buffer.from(value, 'base64url').toString());
    return (
      Array.isArray(found) &&
      found.length === parts.length &&
      parts.every((part, i) => typeof found[i] === 'string' && CURSOR_PARTS[part](found[i]))
    );
  } catch {
    return false;
  }
}

/** As the database writes it; a day that does not exist would be an error there. */
function isTimestamp(part: string): boolean {
  const match = TIMESTAMP.exec(part);
  if (match === null) return false;
  const [year, month, day] = match.slice(1, 4).map(Number) as [number, number, number];
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}
