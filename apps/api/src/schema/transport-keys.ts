import { z } from 'zod';
import type { TransportKeyRow } from '#store';
import { id, pageOf, time } from './values.js';

export const newTransportKey = z
  .strictObject({
    key: z
      .string()
      .max(44)
      .regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/, 'must be base64')
      .meta({ description: '16 or 32 bytes in base64; never shown again' }),
  })
  .meta({ id: 'NewTransportKey' });

export const transportKeySchema = z
  .strictObject({
    deviceId: id,
    keyIdentifier: z.string().meta({ description: 'hexadecimal, what DecryptKeyIdentifier holds' }),
    bits: z.number().int(),
    createdAt: time,
  })
  .meta({ id: 'TransportKey' });
export const transportKeyPage = pageOf(transportKeySchema);

export const isTransportKeyId = (text: string): boolean => /^(?:[0-9a-f]{2}){1,64}$/.test(text);

export function transportKeyJson(row: TransportKeyRow): z.infer<typeof transportKeySchema> {
  return {
    deviceId: row.deviceId,
    keyIdentifier: row.keyIdentifier.toString('hex'),
    bits: row.bits,
    createdAt: row.createdAt.toISOString(),
  };
}
