import { z } from 'zod';

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

/** Query of a list; filters stand beside. The store refuses a cursor that it did not make. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(512).optional().meta({ description: 'nextCursor of the page before' }),
};

export const pageOf = <T extends z.ZodType>(item: T) =>
  z.strictObject({ items: z.array(item), nextCursor: z.string().nullable() });
