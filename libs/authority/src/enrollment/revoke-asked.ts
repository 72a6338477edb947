import type { RevocationRequest } from '#est';
import { AuthorityError } from '#kernel';
import { crlReasonOf } from '#pki';
import { REVOCATION_REASONS, type RevocationReason } from '#policy';
import { findCertificate } from '#store';
import { revokeCertificate } from '../certificates.js';
import type { AuthorityContext } from '../context.js';
import type { Principal } from './authenticate/principal.js';

/**
 * A device revokes a certificate of its own, also the one it signs with (RFC 5272 section 6.11). Throws `forbidden`, code `badCertId`,
 * for any other, `invalid` for what is no reason to revoke for good.
 */
export async function revokeAsked(
  a: AuthorityContext,
  principal: Principal,
  asked: RevocationRequest,
  requestId: string,
): Promise<void> {
  if (principal.method !== 'certificate') {
    throw new AuthorityError('forbidden', 'only a device with a certificate may revoke, and only its own');
  }
  const { deviceId } = principal.current;
  const row = await a.database.single((tx) => findCertificate(tx, Buffer.from(asked.serial, 'hex')));
  const issuer = row && (await a.issuers.find(row.issuerId));
  if (row?.deviceId !== deviceId || issuer?.subjectDer.equals(asked.issuerDer) !== true) {
    throw new AuthorityError('forbidden', 'the certificate to revoke is not one of this device', { code: 'badCertId' });
  }
  const actor = { id: `device:${deviceId}`, organizationId: a.authorityId, authority: false, requestId };
  await revokeCertificate(a, actor, asked.serial, { reason: finalReason(asked.reason) });
}

function finalReason(code: number): RevocationReason {
  const name = crlReasonOf(code);
  const reason = REVOCATION_REASONS.find((one) => one === name);
  if (reason !== undefined && reason !== 'certificateHold') return reason;
  throw new AuthorityError('invalid', 'the reason is none to revoke a certificate for good');
}
