import { z } from 'zod';
import { caIssuersUri, COMING_STATES, crlUri, ocspUri, type Issuer, type IssuerToCome } from '#authority';
import { fromPem, GENERATED_KEY_TYPES, toPem } from '#pki';
import { REVOCATION_REASONS } from '#policy';
import { KEY_LOCATIONS } from '#signing';
import type { KnownLink } from '#status';
import { ISSUER_KINDS, LINK_FORMS } from '#store';
import { MAX_CRL_TEXT } from '../body.js';
import { country, id, pageOf, text, time } from './values.js';

const members = {
  id,
  kind: z.enum(ISSUER_KINDS),
  status: z
    .enum(['active', 'retired', 'revoked'])
    .meta({ description: 'active: issues; retired: does not, or not yet, and its certificates are good' }),
  parentId: id.nullable().meta({ description: 'who certified it' }),
  predecessorId: id.nullable().meta({ description: 'whose key it follows, under the same name' }),
  name: z.string(),
  keyType: z.string(),
  external: z.boolean().meta({ description: 'its key is kept elsewhere: it never signs here' }),
  organizationId: id.nullable().meta({ description: 'issues for devices of this testing organization only' }),
  profiles: z.array(z.string()).nullable().meta({ description: 'issues by these only; null: by every one' }),
  pathLen: z.int().nullable().meta({ description: 'CAs that may stand under it; null: no limit' }),
  nameConstraints: z.string().nullable().meta({ description: 'value of the extension, DER, base64' }),
  shards: z.int(),
  notAfter: time,
  crl: z.string(),
  ocsp: z.string(),
  caIssuers: z.string(),
  pem: z.string(),
};
export const issuerSchema = z.strictObject(members).meta({ id: 'Issuer' });
const coming = z
  .strictObject({
    id,
    kind: members.kind,
    status: z.enum(COMING_STATES),
    name: z.string(),
    keyType: z.string().nullable().meta({ description: 'null: its key is made when it is approved' }),
    external: members.external.meta({ description: 'its certificate is made elsewhere' }),
    approvalId: id.nullable().meta({ description: 'the proposal that somebody has to approve first' }),
    expiresAt: time.nullable().meta({ description: 'of that proposal' }),
    next: z.string().meta({ description: 'what to do, for people' }),
  })
  .meta({ id: 'IssuerToCome', description: 'A CA that is wanted and has no certificate yet' });
export const issuerPage = z.strictObject({
  ...pageOf(issuerSchema).shape,
  coming: z.array(coming).meta({ description: 'those without a certificate; empty for who may not read approvals' }),
});

const linkSchema = z
  .strictObject({
    id,
    form: z.enum(LINK_FORMS).meta({
      description: 'oldWithNew, newWithOld: of a root, RFC 9810 section 4.4.1; cross, subCa: another CA',
    }),
    subjectIssuerId: id.nullable().meta({ description: "whose key it certifies; null: somebody else's" }),
    issuerId: id.nullable().meta({ description: 'who signed it; null: somebody else' }),
    name: z.string(),
    serial: z.string(),
    notAfter: time,
    pem: z.string(),
  })
  .meta({ id: 'IssuerLink' });
export const issuerWithLinks = z
  .strictObject({ ...members, links: z.array(linkSchema) })
  .meta({ id: 'IssuerWithLinks' });

export const issuerOrComing = z.union([issuerWithLinks, coming]);

const list = z.array(text(253)).min(1).max(100).optional();
const constrained = z.strictObject({ dns: list, email: list, uri: list, ip: list }).optional();
const nameConstraints = z.strictObject({ permitted: constrained, excluded: constrained }).optional();
const keyType = z.enum(GENERATED_KEY_TYPES).exclude(['ml-kem-512', 'ml-kem-768', 'ml-kem-1024']).optional();
const location = z.enum(KEY_LOCATIONS).optional().meta({ description: 'where its key is kept' });
const pathLen = z.int().min(0).max(8).optional();
const validitySeconds = z.int().min(86_400).optional();

/** RFC 5280 appendix A: a common name has at most 64 characters. */
export const issuerCreation = z
  .strictObject({
    name: text(64),
    kind: z.enum(ISSUER_KINDS).optional().meta({ description: 'default: issuing' }),
    parentId: id.optional().meta({ description: 'who certifies it; default: the main root' }),
    external: z.boolean().optional().meta({ description: 'makes the key only; the certificate is made elsewhere' }),
    ...{ keyType, location, pathLen, nameConstraints, validitySeconds },
    organizationId: id.optional(),
    profiles: z.array(text(40)).min(1).max(50).optional(),
    subject: z
      .strictObject({
        organization: text(64).optional(),
        organizationalUnit: text(64).optional(),
        country: country.optional(),
        state: text(128).optional(),
        locality: text(128).optional(),
      })
      .optional()
      .meta({ description: 'beside the common name; default: O=Touchmark' }),
  })
  .meta({ id: 'IssuerCreation' });
export const issuerRollover = z.strictObject({ keyType, location, validitySeconds }).meta({ id: 'IssuerRollover' });

const pem = (label: string, most = 200_000) =>
  z
    .string()
    .max(most)
    .meta({ description: `PEM, ${label}` });
export const crossSigning = z
  .strictObject({
    csr: pem('CERTIFICATE REQUEST').optional(),
    certificate: pem('CERTIFICATE').optional(),
    ...{ pathLen, nameConstraints, validitySeconds },
    unconstrained: z.literal(true).optional().meta({ description: 'said where there are no name constraints' }),
  })
  .meta({ id: 'CrossSigning' });
export const issuerImport = z
  .strictObject({
    certificate: pem('CERTIFICATE'),
    chain: pem('CERTIFICATE, from whoever signed it up to the root'),
    crls: pem('X509 CRL, of each CA of the chain', 600_000),
  })
  .meta({ id: 'IssuerImport' });
export const crlImport = z
  .strictObject({ crl: pem('X509 CRL, of 8 MiB at most', MAX_CRL_TEXT) })
  .meta({ id: 'CrlImport' });
export const crlImported = z
  .strictObject({
    issuerId: id,
    number: z.int(),
    revoked: z.array(id).meta({ description: 'CAs of ours that it lists' }),
  })
  .meta({ id: 'CrlImported' });
export const requestShown = z.strictObject({ issuerId: id, pem: z.string() }).meta({ id: 'IssuerRequest' });

export const issuerRevocation = z
  .strictObject({ reason: z.enum(REVOCATION_REASONS).exclude(['certificateHold']) })
  .meta({ id: 'IssuerRevocation' });

export function issuerJson(issuer: Issuer): z.infer<typeof issuerSchema> {
  const { terms } = issuer;
  return {
    ...{ id: issuer.id, kind: issuer.kind, status: issuer.status },
    parentId: issuer.above[0]?.id ?? issuer.parentId,
    predecessorId: terms.predecessorId ?? null,
    name: issuer.name,
    keyType: issuer.publicKey.keyType,
    external: issuer.caKeyId === null,
    organizationId: terms.organizationId ?? null,
    profiles: terms.profiles === undefined ? null : [...terms.profiles],
    pathLen: issuer.pathLen ?? null,
    nameConstraints: issuer.nameConstraints?.toString('base64') ?? null,
    shards: issuer.shards,
    notAfter: issuer.notAfter.toISOString(),
    crl: crlUri(issuer, undefined),
    ocsp: ocspUri(issuer),
    caIssuers: caIssuersUri(issuer),
    pem: toPem('CERTIFICATE', issuer.certificate),
  };
}

export function comingJson(one: IssuerToCome): z.infer<typeof coming> {
  const { id: issuerId, kind, state, name, keyType, external, approval } = one;
  const expiresAt = approval?.expiresAt.toISOString() ?? null;
  return {
    ...{ id: issuerId, kind, status: state, name, keyType, external, approvalId: approval?.id ?? null, expiresAt },
    next: nextFor(one),
  };
}

function nextFor({ id: issuerId, state, approval }: IssuerToCome): string {
  switch (state) {
    case 'proposed':
    case 'importing':
      return `a second person approves it: npx touchmark approval approve ${approval?.id}`;
    case 'requested':
      return `have its request certified: npx touchmark ca csr ${issuerId}, then npx touchmark ca import ${issuerId}`;
    case 'certifying':
      return 'wait: it is certified within a minute';
    default:
      return state satisfies never;
  }
}

/** With every link certificate that it is the subject or the signer of. */
export function issuerWithLinksJson(issuer: Issuer, links: readonly KnownLink[]): z.infer<typeof issuerWithLinks> {
  const own = links.filter((one) => one.subjectIssuerId === issuer.id || one.issuerId === issuer.id);
  return {
    ...issuerJson(issuer),
    links: own.map(({ id: linkId, form, subjectIssuerId, issuerId, name, serial, notAfter, certificate }) => ({
      ...{ id: linkId, form, subjectIssuerId, issuerId, name, serial, notAfter: notAfter.toISOString() },
      pem: toPem('CERTIFICATE', certificate),
    })),
  };
}

/** Each block as base64 of its DER: what a proposal keeps. Throws `malformed`. */
export function blocks(pem_: string, label: string): string[] {
  return fromPem(pem_, label).map((der) => der.toString('base64'));
}
