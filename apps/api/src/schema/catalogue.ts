import { z } from 'zod';
import { NAME_TYPES, type Profile } from '#policy';
import { pageOf, text } from './values.js';

export const profileSchema = z
  .strictObject({
    name: z.string(),
    version: z.int(),
    description: z.string(),
    keyTypes: z.array(z.string()),
    keyUsage: z.array(z.string()),
    eku: z.array(z.string()).meta({ description: 'OIDs' }),
    validitySeconds: z.int(),
    subject: z.enum(['device', 'name', 'empty', 'given']),
    san: z.array(z.strictObject({ type: z.enum(NAME_TYPES), min: z.int(), max: z.int() })),
    revocation: z.enum(['crl+ocsp', 'crl', 'none']),
    ca: z.boolean(),
  })
  .meta({ id: 'Profile' });
export const profilePage = pageOf(profileSchema);

export const profileChange = z
  .strictObject({
    validitySeconds: z.int().min(1).optional().meta({ description: 'of what is issued from then on' }),
    keyTypes: z.array(text(20)).min(1).max(20).optional().meta({ description: 'some of the shipped ones' }),
  })
  .refine((change) => Object.values(change).some((value) => value !== undefined), 'must change something')
  .meta({ id: 'ProfileChange' });

export function profileJson(profile: Profile): z.infer<typeof profileSchema> {
  const { name, version, description, validitySeconds, subject, revocation, ca } = profile;
  const san = profile.san.map((rule) => ({ ...rule }));
  const lists = { keyTypes: [...profile.keyTypes], keyUsage: [...profile.keyUsage], eku: [...profile.eku] };
  return { name, version, description, ...lists, validitySeconds, subject, san, revocation, ca };
}
