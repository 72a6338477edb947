import { AuthorityError } from '#kernel';
import { findFingerprints } from '#store';
import { believedIdentity } from '../../device-identities.js';
import { parseLeaf } from './own-certificate.js';
import type { Way } from './principal.js';

/**
 * Any certificate, also a self-signed one, whose hash or whose key's hash was registered with the device: the handshake has
 * proved that the client holds the key. What revokes it is the removal of the fingerprint.
 */
export const byFingerprint: Way = {
  method: 'fingerprint',
  serves: ['simpleenroll'],
  byCertificate: true,
  asks: 'a certificate in the TLS handshake whose fingerprint is registered',

  async read(a, { presented }) {
    const der = presented.peerCertificate();
    if (der === undefined) return undefined;
    const certificate = parseLeaf(der);
    const hashes = {
      certificate: certificate.sha256.toString('hex'),
      key: certificate.publicKey.sha256.toString('hex'),
    };
    const identity = await a.database.transaction(async (tx) => {
      for (const row of await findFingerprints(tx, hashes)) {
        const believed = await believedIdentity(tx, a, row);
        if (believed !== undefined) return believed;
      }
      return undefined;
    });
    if (identity === undefined) return undefined;
    const now = a.clock.now();
    if (certificate.notAfter < now) throw new AuthorityError('forbidden', 'the client certificate has expired');
    if (certificate.notBefore > now) throw new AuthorityError('forbidden', 'the client certificate is not yet valid');
    return { method: 'fingerprint', identity, certificate };
  },
};
