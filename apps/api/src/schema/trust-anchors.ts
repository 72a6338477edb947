import { z } from 'zod';
import type { CurrentAnchors, StoredCrl } from '#authority';
import { ANCHOR_REGISTRATIONS, IDENTITY_SOURCES } from '#policy';
import { MAX_CRL_TEXT } from '../body.js';
import { id, pageOf, text, time } from './values.js';

const pem = z.string().min(1).max(20_000).meta({ description: 'one certificate, PEM' });
const settings = {
  description: text(200),
  certificates: z.array(pem).min(1).max(20).meta({ description: 'where a path ends, self-signed or not' }),
  intermediates: z.array(pem).max(20).meta({ description: 'between, trusted for nothing' }),
  appId: id.meta({ description: 'the app whose devices these are' }),
  register: z.enum(ANCHOR_REGISTRATIONS),
  registersPerMinute: z.int().min(1).max(10_000),
  identity: z.enum(IDENTITY_SOURCES).meta({ description: 'where the certificate names its device' }),
  revocation: z.enum(['none', 'crl']).meta({ description: 'none: nobody is told to be revoked; said aloud' }),
  crlMaxAgeSeconds: z
    .int()
    .min(60)
    .max(31_536_000)
    .nullable()
    .meta({ description: 'with crl: no list older than this counts' }),
};

export const trustAnchorsSchema = z
  .strictObject({ name: z.string(), version: z.int(), ...settings })
  .meta({ id: 'TrustAnchors', description: 'Whom besides the authority a label trusts to tell devices' });
export const trustAnchorsPage = pageOf(trustAnchorsSchema);

/** Whether there are CRLs has no default: a set without them has to say so. */
export const trustAnchorsChange = z
  .strictObject({
    ...settings,
    description: settings.description.default('-'),
    intermediates: settings.intermediates.default([]),
    register: settings.register.default('preregistered'),
    registersPerMinute: settings.registersPerMinute.default(60),
    identity: settings.identity.default('serialNumber'),
    crlMaxAgeSeconds: settings.crlMaxAgeSeconds.default(null),
  })
  .meta({ id: 'TrustAnchorsChange' });

export const crlUpload = z
  .strictObject({ crl: z.string().min(1).max(MAX_CRL_TEXT).meta({ description: 'PEM, or base64 of DER' }) })
  .meta({ id: 'CrlUpload' });
export const storedCrlSchema = z
  .strictObject({
    anchors: z.string(),
    issuer: z.string().meta({ description: '`<set>:<SHA-256 of the key that signed it>`' }),
    number: z.string(),
    thisUpdate: time,
    nextUpdate: time,
    entries: z.int(),
  })
  .meta({ id: 'StoredCrl' });

export function trustAnchorsJson(set: CurrentAnchors): z.infer<typeof trustAnchorsSchema> {
  const { trusted: _trusted, known: _known, certificates, intermediates, ...rest } = set;
  return { ...rest, certificates: [...certificates], intermediates: [...intermediates] };
}

export const storedCrlJson = ({ thisUpdate, nextUpdate, ...rest }: StoredCrl): z.infer<typeof storedCrlSchema> => ({
  ...rest,
  thisUpdate: thisUpdate.toISOString(),
  nextUpdate: nextUpdate.toISOString(),
});
