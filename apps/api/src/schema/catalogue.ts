import { z } from 'zod';
import { caIssuersUri, crlUri, ocspUri, type Issuer } from '#authority';
import { toPem } from '#pki';
import { NAME_TYPES, REVOCATION_REASONS, type Profile } from '#policy';
import { ISSUER_KINDS } from '#store';
import { id, pageOf, text, time } from './values.js';

export const issuerSchema = z
  .strictObject({
    id,
    kind: z.enum(ISSUER_KINDS),
    status: z
      .enum(['active', 'retired', 'revoked'])
      .meta({ description: 'active: issues; retired: does not, or not yet, and its certificates are good' }),
    parentId: id.nullable(),
    name: z.string(),
    keyType: z.string(),
    shards: z.int(),
    notAfter: time,
    crl: z.string(),
    ocsp: z.string(),
    caIssuers: z.string(),
    pem: z.string(),
  })
  .meta({ id: 'Issuer' });
export const issuerPage = pageOf(issuerSchema);

/** RFC 5280 appendix A: a common name has at most 64 characters. */
export const issuerCreation = z.strictObject({ name: text(64) }).meta({ id: 'IssuerCreation' });
export const issuerRevocation = z
  .strictObject({ reason: z.enum(REVOCATION_REASONS).exclude(['certificateHold']) })
  .meta({ id: 'IssuerRevocation' });

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

export function issuerJson(issuer: Issuer): z.infer<typeof issuerSchema> {
  return {
    id: issuer.id,
    kind: issuer.kind,
    status: issuer.status,
    parentId: issuer.parentId,
    name: issuer.name,
    keyType: issuer.publicKey.keyType,
    shards: issuer.shards,
    notAfter: issuer.notAfter.toISOString(),
    crl: crlUri(issuer, undefined),
    ocsp: ocspUri(issuer),
    caIssuers: caIssuersUri(issuer),
    pem: toPem('CERTIFICATE', issuer.certificate),
  };
}

export function profileJson(profile: Profile): z.infer<typeof profileSchema> {
  const { name, version, description, validitySeconds, subject, revocation, ca } = profile;
  const san = profile.san.map((rule) => ({ ...rule }));
  const lists = { keyTypes: [...profile.keyTypes], keyUsage: [...profile.keyUsage], eku: [...profile.eku] };
  return { name, version, description, ...lists, validitySeconds, subject, san, revocation, ca };
}
