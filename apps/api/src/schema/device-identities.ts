import { z } from 'zod';
import type { DeviceIdentityRow } from '#store';
import { id, pageOf, text, time } from './values.js';

/** As openssl writes it, too: capitals, colons. */
export const sha256Hex = z
  .string()
  .max(100)
  .transform((value) => value.replaceAll(':', '').toLowerCase())
  .pipe(z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits of a SHA-256, colons or not'))
  .meta({ description: 'SHA-256 in hex' });

export const manufacturerId = z
  .strictObject({ anchors: text(40), id: text(200) })
  .meta({ description: 'set of trust anchors, and how its certificates name the device' });

export const newFingerprint = z
  .strictObject({ of: z.enum(['certificate', 'key']), sha256: sha256Hex })
  .meta({ id: 'NewFingerprint', description: 'key: of the DER of SubjectPublicKeyInfo' });

export const deviceIdentitySchema = z
  .strictObject({
    id,
    kind: z.enum(['certificate', 'key', 'manufacturer']),
    anchors: z.string().nullable(),
    value: z.string(),
    automatic: z.boolean().meta({ description: 'the device registered itself by it' }),
    createdAt: time,
  })
  .meta({ id: 'DeviceIdentity' });
export const deviceIdentityPage = pageOf(deviceIdentitySchema);
export const removedIdentitySchema = z.strictObject({ id, status: z.literal('removed') });

export function deviceIdentityJson(row: DeviceIdentityRow): z.infer<typeof deviceIdentitySchema> {
  const { id: rowId, kind, anchors, value, automatic, createdAt } = row;
  const set = anchors === '' ? null : anchors;
  return { id: rowId, kind, anchors: set, value, automatic, createdAt: createdAt.toISOString() };
}
