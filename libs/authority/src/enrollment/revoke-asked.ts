import type { CertificateReference, RevocationRequest } from '#est';
import { AuthorityError } from '#kernel';
import { crlReasonOf } from '#pki';
import { REVOCATION_REASONS, type RevocationReason } from '#policy';
import { findCertificate, type CertificateRow } from '#store';
import { revokeCertificate } from '../certificates.js';
import type { AuthorityContext } from '../context.js';
import type { DeviceCertificate } from './authenticate/own-certificate.js';

/**
 * A device revokes a certificate of its own, also the one it signs with (RFC 5272 section 6.11). Throws `forbidden`, code `badCertId`,
 * for any other, `invalid` for what is no reason to revoke for good.
 */
export async function revokeAsked(
  a: AuthorityContext,
  { deviceId }: Pick<DeviceCertificate, 'deviceId'>,
  asked: RevocationRequest,
  requestId: string,
): Promise<void> {
  await requireOne(a, asked, (row) => row.deviceId === deviceId);
  const actor = { id: `device:${deviceId}`, organizationId: a.authorityId, authority: false, requestId };
  await revokeCertificate(a, actor, asked.serial, { reason: finalReason(asked.reason) });
}

/**
 * A confirmation that nobody has to give here (RFC 5272 section 6.14): a certificate is good as soon as it is issued. It must be one of the
 * device, or one that the RA which confirms has asked for. Throws as `revokeAsked` does.
 */
export async function acceptanceOf(
  a: AuthorityContext,
  { deviceId }: Pick<DeviceCertificate, 'deviceId'>,
  accepted: CertificateReference,
): Promise<void> {
  const asRa = `ra:${deviceId}`;
  await requireOne(
    a,
    accepted,
    (row) => row.deviceId === deviceId || row.requester === asRa || row.requester.startsWith(`${asRa}:`),
  );
}

/** One answer for a certificate that is not there and one of somebody else. */
async function requireOne(
  a: AuthorityContext,
  { serial, issuerDer }: CertificateReference,
  theirs: (row: CertificateRow) => boolean,
): Promise<void> {
  const row = await a.database.single((tx) => findCertificate(tx, Buffer.from(serial, 'hex')));
  const issuer = row && (await a.issuers.find(row.issuerId));
  if (row && theirs(row) && issuer?.subjectDer.equals(issuerDer) === true) return;
  throw new AuthorityError('forbidden', 'the certificate is not one of this device', { code: 'badCertId' });
}

function finalReason(code: number): RevocationReason {
  const name = crlReasonOf(code);
  const reason = REVOCATION_REASONS.find((one) => one === name);
  if (reason !== undefined && reason !== 'certificateHold') return reason;
  throw new AuthorityError('invalid', 'the reason is none to revoke a certificate for good');
}
