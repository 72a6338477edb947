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
  })
  .meta({ id: 'Receipt', description: 'When a change of status is visible at the latest, by channel' });

export function receiptJson(receipt: Receipt): z.infer<typeof receiptSchema> {
  const { introspection, ocsp, crl } = receipt.visibleBy;
  return {
    id: receipt.id,
    status: receipt.status,
    seq: receipt.seq,
    visibleBy: {
      ...(introspection && { introspection: introspection.toISOString() }),
      ...(ocsp && { ocsp: ocsp.toISOString() }),
      ...(crl && { crl: crl.toISOString() }),
    },
  };
}
