import { z } from 'zod';
import { certificateStatus, type AuthorityContext } from '#authority';
import { toPem } from '#pki';
import { REVOCATION_REASONS } from '#policy';
import type { CertificateRow } from '#store';
import { hex, id, instant, pageOf, pageQuery, text, time } from './values.js';

const status = z.enum(['issuing', 'active', 'onHold', 'revoked', 'expired']);

const members = {
  serial: hex,
  status,
  issuerId: id,
  shard: z.int(),
  profile: z.string(),
  profileVersion: z.int(),
  subject: z.string(),
  names: z.array(z.string()),
  deviceId: id.nullable(),
  appId: id.nullable(),
  releaseId: id.nullable(),
  notBefore: time,
  notAfter: time,
  sha256: hex.nullable().meta({ description: 'fingerprint; null until the certificate is signed' }),
  supersededBy: hex.nullable().meta({ description: 'serial of the renewal' }),
  revokedAt: time.optional(),
  reason: z.string().optional(),
  createdAt: time,
};
export const certificateSchema = z.strictObject(members).meta({ id: 'Certificate' });
export const certificateWithPemSchema = z
  .strictObject({ ...members, pem: z.string().nullable() })
  .meta({ id: 'CertificateWithPem' });
export const certificatePage = pageOf(certificateSchema);
export const fingerprintsSchema = z
  .strictObject({ serial: hex, fingerprints: z.array(z.string()) })
  .meta({ id: 'Fingerprints', description: 'SDP lines (RFC 8122 section 5)' });

const filters = {
  status: status.optional(),
  deviceId: id.optional(),
  ra: id.optional().meta({ description: 'obtained for others by this registration authority: its device id' }),
  profile: text(100).optional(),
  expiresBefore: instant.optional(),
  q: text(200).optional().meta({ description: 'part of a name or subject, or the start of a serial' }),
};
export const certificateQuery = z.strictObject({ ...pageQuery, ...filters });

export const certificateRevocation = z
  .strictObject({ reason: z.enum(REVOCATION_REASONS), invalidityDate: instant.optional() })
  .meta({ id: 'CertificateRevocation' });

export function certificateJson(a: AuthorityContext, row: CertificateRow): z.infer<typeof certificateSchema> {
  const shown = certificateStatus(a, row);
  return {
    serial: row.serial.toString('hex'),
    status: shown.status,
    issuerId: row.issuerId,
    shard: row.shard,
    profile: row.profile,
    profileVersion: row.profileVersion,
    subject: row.subject,
    names: row.names,
    deviceId: row.deviceId,
    appId: row.appId,
    releaseId: row.releaseId,
    notBefore: row.notBefore.toISOString(),
    notAfter: row.notAfter.toISOString(),
    sha256: row.sha256?.toString('hex') ?? null,
    supersededBy: row.supersededBy?.toString('hex') ?? null,
    ...(shown.revokedAt && { revokedAt: shown.revokedAt.toISOString() }),
    ...(shown.reason !== null && { reason: shown.reason }),
    createdAt: row.createdAt.toISOString(),
  };
}

export function certificatePem(row: CertificateRow): string | null {
  return row.der === null ? null : toPem('CERTIFICATE', row.der);
}
