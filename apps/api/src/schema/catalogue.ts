import { z } from 'zod';
import { caIssuersUri, crlUri, ocspUri, type Issuer } from '#authority';
import { toPem } from '#pki';
import type { Profile } from '#policy';
import { id, pageOf, time } from './values.js';

export const issuerSchema = z
  .strictObject({
    id,
    kind: z.enum(['root', 'issuing']),
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

export const profileSchema = z
  .strictObject({
    name: z.string(),
    version: z.int(),
    description: z.string(),
    keyTypes: z.array(z.string()),
    keyUsage: z.array(z.string()),
    eku: z.array(z.string()).meta({ description: 'OIDs' }),
    validitySeconds: z.int(),
    san: z.enum(['required', 'optional', 'forbidden']),
    revocation: z.enum(['crl+ocsp', 'crl', 'none']),
    ca: z.boolean(),
  })
  .meta({ id: 'Profile' });
export const profilePage = pageOf(profileSchema);

export function issuerJson(issuer: Issuer): z.infer<typeof issuerSchema> {
  return {
    id: issuer.id,
    kind: issuer.kind,
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
  const { name, version, description, validitySeconds, san, revocation, ca } = profile;
  const lists = { keyTypes: [...profile.keyTypes], keyUsage: [...profile.keyUsage], eku: [...profile.eku] };
  return { name, version, description, ...lists, validitySeconds, san, revocation, ca };
}
