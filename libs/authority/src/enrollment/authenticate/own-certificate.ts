import { AuthorityError } from '#kernel';
import { OID, readCertificate, validatePath, type Certificate, type TrustAnchor } from '#pki';
import { checkRowMac, intentRowMac } from '#status';
import { findCertificate, isId, type CertificateRow } from '#store';
import type { AuthorityContext } from '../../context.js';
import { requireUsable } from '../../hierarchy.js';
import type { Way } from './principal.js';

/** A device that proved itself with a certificate of ours. */
export interface DeviceCertificate {
  deviceId: string;
  certificate: Certificate;
  row: CertificateRow;
}

/** Renewal with the certificate that is renewed (RFC 7030 section 4.2.2). */
export const byOwnCertificate: Way = {
  method: 'certificate',
  serves: ['simplereenroll', 'serverkeygen'],
  byCertificate: true,
  asks: 'the current certificate in the TLS handshake',

  async read(a, { presented, operation }) {
    // Whoever asks for a key with a secret has none that would renew anything.
    const der = operation === 'serverkeygen' && presented.basic ? undefined : presented.peerCertificate();
    return der && { method: 'certificate', current: await authenticateCertificate(a, der) };
  },
};

const VERIFIED_MAX = 10_000;

/** Leaf certificates whose path was found good: signatures need no second look, validity and status are asked each time. */
class VerifiedLeaves {
  private readonly leaves = new Map<string, Certificate>();

  get(der: Buffer): Certificate | undefined {
    return this.leaves.get(der.toString('base64'));
  }

  add(certificate: Certificate): void {
    if (this.leaves.size >= VERIFIED_MAX) {
      for (const oldest of this.leaves.keys()) {
        this.leaves.delete(oldest);
        break;
      }
    }
    this.leaves.set(certificate.der.toString('base64'), certificate);
  }
}

const verifiedLeaves = new WeakMap<AuthorityContext, VerifiedLeaves>();

/**
 * The certificate of the TLS connection to device: path to our root by RFC 5280 section 6, clientAuth, validity, and
 * status by the log, asked on every request, resumed session or not (E11, E40, EX15). Throws `forbidden`.
 */
export async function authenticateCertificate(a: AuthorityContext, der: Buffer): Promise<DeviceCertificate> {
  const now = a.clock.now();
  const leaves = verifiedLeaves.get(a) ?? new VerifiedLeaves();
  verifiedLeaves.set(a, leaves);
  const certificate = leaves.get(der) ?? (await verifyLeaf(a, leaves, der));
  if (certificate.notAfter < now) throw new AuthorityError('forbidden', 'the client certificate has expired');
  if (certificate.notBefore > now) throw new AuthorityError('forbidden', 'the client certificate is not yet valid');
  a.follower.assertFresh(60_000);
  const known = a.follower.index.certificate(certificate.serial);
  if (known?.status === 'revoked' || known?.status === 'onHold') throw revoked();
  await checkIssuers(a, certificate);
  const row = await a.database.single((tx) => findCertificate(tx, Buffer.from(certificate.serial, 'hex')));
  if (!row?.der?.equals(der)) throw new AuthorityError('forbidden', 'the client certificate is not one of ours');
  checkRowMac(row.mac, intentRowMac(a.macKey, row), `certificate ${certificate.serial}`);
  if (row.deviceId === null || !isId(row.deviceId)) {
    throw new AuthorityError('forbidden', 'the client certificate is not that of a device');
  }
  return { deviceId: row.deviceId, certificate, row };
}

/** A leaf seen before skips its path, never the status of who signed it. */
async function checkIssuers(a: AuthorityContext, certificate: Certificate): Promise<void> {
  const signers = (await a.issuers.list()).filter((issuer) =>
    certificate.authorityKeyId?.equals(issuer.publicKey.keyId),
  );
  for (const signer of signers) requireUsable(a, signer);
}

export const revoked = (): AuthorityError => new AuthorityError('forbidden', 'the client certificate is revoked');

async function verifyLeaf(a: AuthorityContext, leaves: VerifiedLeaves, der: Buffer): Promise<Certificate> {
  const leaf = parseLeaf(der);
  const issuers = await a.issuers.list();
  const anchors: TrustAnchor[] = issuers
    .filter((issuer) => issuer.kind === 'root')
    .map((root) => ({ subjectDer: root.subjectDer, publicKey: root.publicKey, set: 'own' }));
  const index = a.follower.index;
  const result = validatePath({
    leaf,
    intermediates: issuers.filter((issuer) => issuer.kind !== 'root').map((one) => readCertificate(one.certificate)),
    anchors,
    at: a.clock.now(),
    eku: OID.clientAuth,
    revocation: (certificate) => {
      const status = index.certificate(certificate.serial)?.status;
      return status === 'revoked' || status === 'onHold' ? 'revoked' : 'good';
    },
  });
  if (!result.ok) {
    if (result.code === 'revoked') throw revoked();
    if (result.code === 'expired') throw new AuthorityError('forbidden', 'the client certificate has expired');
    throw new AuthorityError('forbidden', `the client certificate is not accepted: ${result.detail}`);
  }
  leaves.add(leaf);
  return leaf;
}

/** Throws `forbidden` for what is no certificate. */
export function parseLeaf(der: Buffer): Certificate {
  try {
    return readCertificate(der);
  } catch (cause) {
    throw new AuthorityError('forbidden', 'the client certificate cannot be read', { cause });
  }
}
