import { addSeconds, AuthorityError } from '#kernel';
import { OID, readCertificate, validatePath, type Certificate, type TrustAnchor } from '#pki';
import { checkRowMac, intentRowMac } from '#status';
import { findCertificate, isId, type CertificateRow } from '#store';
import type { AuthorityContext } from '../../context.js';
import { currentProfile } from '../../current-profile.js';
import { requireUsable } from '../../hierarchy.js';
import type { Way } from './principal.js';

/** A device that proved itself with a certificate of ours. */
export interface DeviceCertificate {
  deviceId: string;
  certificate: Certificate;
  row: CertificateRow;
}

/** What a certificate is presented for: a renewal is decided with more than authentication needs to know. */
export type Use = 'access' | 'renewal';

/** Renewal with the certificate that is renewed (RFC 7030 section 4.2.2). */
export const byOwnCertificate: Way = {
  method: 'certificate',
  serves: ['simplereenroll', 'serverkeygen'],
  byCertificate: true,
  asks: 'the current certificate in the TLS handshake',

  async read(a, { presented, operation }) {
    const { basic, digest } = presented;
    // Whoever asks for a key with a secret has none that would renew anything.
    const der = operation === 'serverkeygen' && (basic ?? digest) ? undefined : presented.peerCertificate();
    return der && { method: 'certificate', current: await authenticateCertificate(a, der, 'renewal') };
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
 * status by the log, asked on every request, resumed session or not (E11, E40, EX15). Throws `forbidden`. For a renewal it
 * may have ended, and it may have been superseded just now: whether that is allowed is the renewal's to decide.
 */
export async function authenticateCertificate(
  a: AuthorityContext,
  der: Buffer,
  use: Use = 'access',
): Promise<DeviceCertificate> {
  const now = a.clock.now();
  const leaves = verifiedLeaves.get(a) ?? new VerifiedLeaves();
  verifiedLeaves.set(a, leaves);
  const certificate = leaves.get(der) ?? (await verifyLeaf(a, leaves, der, use));
  // First of all: what has ended may be allowed, what has not begun never is.
  if (certificate.notBefore > now) throw notYetValid();
  if (certificate.notAfter < now && use === 'access') throw expired();
  a.follower.assertFresh(60_000);
  const known = a.follower.index.certificate(certificate.serial);
  if (known?.status === 'onHold') throw revoked();
  if (known?.status === 'revoked' && (use === 'access' || known.reason !== 'superseded')) throw revoked();
  await checkIssuers(a, certificate);
  const row = await a.database.single((tx) => findCertificate(tx, Buffer.from(certificate.serial, 'hex')));
  if (!row?.der?.equals(der)) throw new AuthorityError('forbidden', 'the client certificate is not one of ours');
  checkRowMac(row.mac, intentRowMac(a.macKey, row), `certificate ${certificate.serial}`);
  if (known?.status === 'revoked' && !supersededSince(a, row.profile, known)) throw revoked();
  if (row.deviceId === null || !isId(row.deviceId)) {
    throw new AuthorityError('forbidden', 'the client certificate is not that of a device');
  }
  return { deviceId: row.deviceId, certificate, row };
}

/** A leaf seen before skips its path, never the status and the end of who signed it. */
async function checkIssuers(a: AuthorityContext, certificate: Certificate): Promise<void> {
  const signers = (await a.issuers.list()).filter((issuer) =>
    certificate.authorityKeyId?.equals(issuer.publicKey.keyId),
  );
  for (const signer of signers) requireUsable(a, signer);
  const now = a.clock.now();
  if (!signers.some(({ notAfter }) => notAfter >= now)) {
    throw new AuthorityError('forbidden', 'the CA of the client certificate has ended; have the device reset');
  }
}

/** E91: for so long a repeated request gets the same certificate. */
export const REPEAT_SECONDS = 600;

/** By a renewal of a moment ago, whose answer may have been lost: such a certificate asks for that answer, nothing else. */
export const supersededSince = (
  a: AuthorityContext,
  profile: string,
  status: { reason: string | null; at: Date },
): boolean =>
  status.reason === 'superseded' &&
  status.at >= addSeconds(a.clock.now(), -REPEAT_SECONDS) &&
  currentProfile(a, profile).supersede.mode !== 'never';

export const revoked = (): AuthorityError => new AuthorityError('forbidden', 'the client certificate is revoked');
const notYetValid = (): AuthorityError => new AuthorityError('forbidden', 'the client certificate is not yet valid');
export const expired = (): AuthorityError =>
  new AuthorityError(
    'forbidden',
    'the client certificate has expired; an officer can allow the device one late renewal, or reset it',
    { code: 'certificateExpired' },
  );

async function verifyLeaf(a: AuthorityContext, leaves: VerifiedLeaves, der: Buffer, use: Use): Promise<Certificate> {
  const leaf = parseLeaf(der);
  const now = a.clock.now();
  // What has ended is judged at its last moment, under CAs that are good now.
  const at = use === 'renewal' && leaf.notAfter < now ? leaf.notAfter : now;
  const issuers = (await a.issuers.list()).filter((issuer) => issuer.notAfter >= now);
  const anchors: TrustAnchor[] = issuers
    .filter((issuer) => issuer.kind === 'root')
    .map((root) => ({ subjectDer: root.subjectDer, publicKey: root.publicKey, set: 'own' }));
  const index = a.follower.index;
  const result = validatePath({
    leaf,
    intermediates: issuers.filter((issuer) => issuer.kind !== 'root').map((one) => readCertificate(one.certificate)),
    anchors,
    at,
    eku: OID.clientAuth,
    revocation: (certificate) => {
      // That of the leaf is asked each time.
      if (certificate.der.equals(der)) return 'good';
      const status = index.certificate(certificate.serial)?.status;
      return status === 'revoked' || status === 'onHold' ? 'revoked' : 'good';
    },
  });
  if (!result.ok) {
    if (result.code === 'revoked') throw revoked();
    if (result.code === 'expired') throw expired();
    if (result.code === 'notYetValid') throw notYetValid();
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
