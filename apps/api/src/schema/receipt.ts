import { z } from 'zod';
import type { Obtained, Receipt } from '#authority';
import { id, time } from './values.js';

export const obtainedSchema = z
  .strictObject({
    deviceId: id,
    since: time,
    certificates: z.int().meta({ description: 'of the newest 100000' }),
    revoked: z.int(),
    next: z.string().meta({ description: 'command that proposes to revoke the others' }),
  })
  .meta({
    id: 'Obtained',
    description: 'Certificates that a registration authority obtained for others and that have not ended',
  });

export function obtainedJson({ deviceId, since, ...counts }: Obtained): z.infer<typeof obtainedSchema> {
  const from = since.toISOString();
  return { deviceId, since: from, ...counts, next: `npx touchmark device revoke-obtained ${deviceId} --since ${from}` };
}

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
    obtained: obtainedSchema.optional().meta({
      description: 'the key of a registration authority: what it obtained for others, which is not revoked with it',
    }),
  })
  .meta({ id: 'Receipt', description: 'When a change of status is visible at the latest, by channel' });

export function receiptJson(receipt: Receipt): z.infer<typeof receiptSchema> {
  const { introspection, ocsp, crl } = receipt.visibleBy;
  const { certificate, obtained } = receipt;
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
    ...(obtained && { obtained: obtainedJson(obtained) }),
  };
}
