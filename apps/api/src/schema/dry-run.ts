import { z } from 'zod';
import type { DryRun, DryRunRequest } from '#authority';
import { AuthorityError } from '#kernel';
import { fromPem } from '#pki';
import { KEY_TYPES } from '#policy';
import { id, text, time } from './values.js';

/** A request of 64 KiB is the largest that EST takes; in base64 it would not fit into a body, nor does any honest one need to. */
const MAX_CSR_TEXT = 60_000;
const keyType = z.enum(KEY_TYPES as [string, ...string[]]);

export const dryRunRequest = z
  .strictObject({
    csr: z.string().min(1).max(MAX_CSR_TEXT).optional().meta({ description: 'PKCS #10, as PEM or base64 of DER' }),
    keyType: keyType.optional().meta({ description: 'instead of a request: one without wishes' }),
    label: text(64).optional().meta({ description: 'EST label; default the one of the profile of the device' }),
  })
  .refine(({ csr, keyType: type }) => (csr === undefined) !== (type === undefined), 'must have csr or keyType')
  .meta({ id: 'DryRunRequest' });

export const dryRunSchema = z
  .strictObject({
    allowed: z.boolean(),
    reasons: z
      .array(z.strictObject({ code: z.string(), detail: z.string() }))
      .meta({ description: 'everything that speaks against it' }),
    label: z.string(),
    profile: z.strictObject({ name: z.string(), version: z.int() }).nullable(),
    approval: z.boolean().meta({ description: 'somebody would have to approve it first' }),
    certificate: z
      .strictObject({
        issuer: z.strictObject({ id, name: z.string() }),
        subject: z.string(),
        names: z.array(z.string()),
        keyType: z.string(),
        keyUsage: z.array(z.string()),
        eku: z.array(z.string()),
        notBefore: time,
        notAfter: time,
        crl: z.string().nullable(),
        ocsp: z.string().nullable(),
        published: z.boolean().meta({ description: 'whether CRL and OCSP would tell of it' }),
      })
      .nullable(),
  })
  .meta({ id: 'DryRun', description: 'What would be issued, and why not. Nothing was done' });

/** Throws `malformed` for what is neither PEM nor base64; what is in it is judged with everything else. */
export function dryRunOf({ csr, keyType: type, label }: z.infer<typeof dryRunRequest>): DryRunRequest {
  return {
    csr: csr === undefined ? undefined : decode(csr),
    keyType: (type ?? 'unknown') as DryRunRequest['keyType'],
    label,
  };
}

function decode(csr: string): Buffer {
  if (csr.includes('-----BEGIN')) return fromPem(csr).at(0) ?? Buffer.alloc(0);
  const base64 = csr.replace(/\s/g, '');
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.toString('base64') === base64) return bytes;
  throw new AuthorityError('malformed', 'csr: must be PEM, or base64 of DER', { member: 'csr' });
}

export function dryRunJson(run: DryRun): z.infer<typeof dryRunSchema> {
  const { reasons, label, profile, approval, certificate } = run;
  return {
    allowed: reasons.length === 0,
    reasons,
    label,
    profile: profile ?? null,
    approval,
    certificate:
      certificate === undefined
        ? null
        : {
            ...certificate,
            keyUsage: [...certificate.keyUsage],
            eku: [...certificate.eku],
            notBefore: certificate.notBefore.toISOString(),
            notAfter: certificate.notAfter.toISOString(),
            crl: certificate.crl ?? null,
            ocsp: certificate.ocsp ?? null,
          },
  };
}
