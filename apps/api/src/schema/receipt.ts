import { z } from 'zod';
import type { Receipt } from '#authority';
import { time } from './values.js';

export const receiptSchema = z
  .strictObject({
    id: z.string(),
    status: z.string(),
    seq: z.int().meta({ description: 'row of the status log; every published artifact says up to which row it is' }),
    visibleBy: z.strictObject({
      introspection: time.optional(),
      ocsp: time.optional(),
      crl: time.optional(),
    }),
    certificate: z
      .strictObject({ published: z.literal(false), endsAt: time })
      .optional()
      .meta({
        description: 'without revocation service (RFC 9608): good for those that look at it alone until endsAt',
      }),
  })
  .meta({ id: 'Receipt', description: 'When a change of status is visible at the latest, by channel' });

export function receiptJson(receipt: Receipt): z.infer<typeof receiptSchema> {
  const { introspection, ocsp, crl } = receipt.visibleBy;
  const { certificate } = receipt;
  return {
    id: receipt.id,
    status: receipt.status,
    seq: receipt.seq,
    visibleBy: {
      ...(introspection && { introspection: introspection.toISOString() }),
      ...(ocsp && { ocsp: ocsp.toISOString() }),
      ...(crl && { crl: crl.toISOString() }),
    },
    ...(certificate && { certificate: { published: false as const, endsAt: certificate.endsAt.toISOString() } }),
  };
}
