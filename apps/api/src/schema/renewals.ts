import { z } from 'zod';
import type { RenewalAdvice } from '#authority';
import { hex, id, text, time } from './values.js';

export const renewalCall = z
  .strictObject({ reason: text(200) })
  .meta({ id: 'RenewalCall', description: 'what was issued before is to be renewed now' });
export const renewalCalledSchema = z
  .strictObject({ kind: z.enum(['group', 'issuer']), id, calledAt: time })
  .meta({ id: 'RenewalCalled' });
export const renewalSchema = z
  .strictObject({
    serial: hex,
    suggestedWindow: z.strictObject({ start: time, end: time }),
    now: z.boolean().meta({ description: 'true: something happened; renew at once' }),
  })
  .meta({ id: 'RenewalAdvice', description: 'as RFC 9773: renew at a time of your choice in the window' });

export const renewalJson = ({ serial, start, end, now }: RenewalAdvice): z.infer<typeof renewalSchema> => ({
  serial,
  suggestedWindow: { start: start.toISOString(), end: end.toISOString() },
  now,
});

export const calledJson = (called: {
  kind: 'group' | 'issuer';
  id: string;
  calledAt: Date;
}): z.infer<typeof renewalCalledSchema> => ({ ...called, calledAt: called.calledAt.toISOString() });
