import { z } from 'zod';
import { caIssuersUri, crlUri, ocspUri, type Issuer } from '#authority';
import { toPem } from '#pki';
import { REVOCATION_REASONS } from '#policy';
import { id, pageOf, text, time } from './values.js';

export const issuerSchema = z
  .strictObject({
    id,
    kind: z.enum(['root', 'issuing']),
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
