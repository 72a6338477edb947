import { isAuthorityError } from '#kernel';
import { OID, readCertificate } from '#pki';
import { namedDevice } from '../named-device.js';
import { authenticateCertificate } from './own-certificate.js';
import type { Way } from './principal.js';

/**
 * A certificate of ours with id-kp-cmcRA (RFC 7030 section 3.7, RFC 6402 section 2.10). Only ours: the same purpose under
 * anchors of others gives nothing (E48). An RA that names itself is a device like any other.
 */
export const byRegistrationAuthority: Way = {
  method: 'ra',
  serves: ['simpleenroll', 'simplereenroll'],
  byCertificate: true,
  asks: 'the certificate of a registration authority in the TLS handshake',

  async read(a, { presented, operation, csr }) {
    const der = presented.peerCertificate();
    if (der === undefined || csr === undefined || !claimsToBeRa(der)) return undefined;
    const ra = await authenticateCertificate(a, der);
    if (ra.certificate.eku?.includes(OID.cmcRa) !== true) return undefined;
    if (operation === 'simplereenroll' && namedDevice(csr)?.id === ra.deviceId) return undefined;
    return { method: 'ra', ra };
  },
};

/** As it says of itself; what that is worth is found out after. */
export function claimsToBeRa(der: Buffer): boolean {
  try {
    return readCertificate(der).eku?.includes(OID.cmcRa) === true;
  } catch (error) {
    if (isAuthorityError(error)) return false;
    throw error;
  }
}
