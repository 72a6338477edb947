import { z } from 'zod';
import { KEY_USAGES } from '#pki';
import { NAME_TYPES, profileDocument, type Profile } from '#policy';
import { pageOf, text } from './values.js';

/** As `--backdate` and the like: whole seconds. What is too much or too little, the policy says. */
const seconds = z.int().min(0);
const supersede = z
  .strictObject({ mode: z.enum(['never', 'at-once', 'after']), seconds: seconds.optional() })
  .meta({ description: 'what becomes of the certificate that a new one takes the place of' });
const renewal = z.strictObject({
  sameKey: z.boolean().meta({ description: 'whether the key may stay' }),
  afterExpirySeconds: seconds.meta({ description: 'how long after its end a certificate may still be renewed with' }),
});
const nameRule = z.strictObject({ type: z.enum(NAME_TYPES), min: z.int().min(0), max: z.int().min(0) });

const members = {
  name: text(40),
  description: text(200),
  keyTypes: z.array(text(20)).min(1).max(20),
  keyUsage: z.array(z.enum(KEY_USAGES as [string, ...string[]])).min(1),
  eku: z.array(text(100)).max(10).meta({ description: 'OIDs' }),
  validitySeconds: z.int().min(1),
  backdateSeconds: seconds.meta({ description: 'how far notBefore lies back, for slow clocks' }),
  subject: z
    .enum(['device', 'name', 'empty', 'given'])
    .meta({ description: 'device: CN=<device id>; name: CN=<first name>; empty: none; given: of CAs' }),
  san: z.array(nameRule).max(10).meta({ description: 'which names of subjectAltName, and how many of each type' }),
  revocation: z
    .enum(['crl+ocsp', 'crl', 'none'])
    .meta({ description: 'none: noRevAvail (RFC 9608); such certificates are short-lived' }),
  ca: z.boolean(),
  pathLen: z.int().min(0).optional(),
  ocspNoCheck: z.boolean(),
  approval: z.boolean().meta({ description: 'whether somebody has to approve each first certificate' }),
  renewal,
  supersede,
};

export const profileSchema = z.strictObject({ ...members, version: z.int() }).meta({ id: 'Profile' });
export const profilePage = pageOf(profileSchema);

const version = z.int().min(1).optional().meta({ description: 'the one that this is a change of; another one is 409' });
const optional = {
  keyUsage: members.keyUsage.optional(),
  backdateSeconds: members.backdateSeconds.optional(),
  revocation: members.revocation.optional(),
  ca: members.ca.optional(),
  ocspNoCheck: members.ocspNoCheck.optional(),
  approval: members.approval.optional(),
  renewal: renewal.optional(),
  supersede: supersede.optional(),
};
export const newProfile = z
  .strictObject({ ...members, ...optional })
  .meta({ id: 'NewProfile', description: 'what is left out has a default' });
export const wholeProfile = z
  .strictObject({ ...members, ...optional, version })
  .meta({ id: 'WholeProfile', description: 'as exported, or with members left out that have a default' });

export const profileChange = z
  .strictObject({ ...members, renewal: renewal.partial() })
  .omit({ name: true })
  .partial()
  .refine((change) => Object.values(change).some((value) => value !== undefined), 'must change something')
  .meta({ id: 'ProfileChange', description: 'members as they are to be; all others stay' });

export const profileQuery = z.strictObject({
  version: z.coerce
    .number()
    .pipe(z.int().min(1))
    .optional()
    .meta({ description: 'an older one; default: as it is now' }),
});

export function profileJson(profile: Profile): z.infer<typeof profileSchema> {
  const { keyTypes, keyUsage, eku, san, ...rest } = profileDocument(profile);
  const lists = { keyTypes: [...keyTypes], keyUsage: [...keyUsage], eku: [...eku], san: [...san] };
  return { ...rest, ...lists, version: profile.version };
}
