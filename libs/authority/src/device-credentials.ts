import { openVerifier, parseCredential, verifierHash, verifierMatches } from '#credential';
import { AuthorityError } from '#kernel';
import { OID, readCertificate, validatePath, type Certificate, type TrustAnchor } from '#pki';
import { findCertificate, findEnrollmentSecret, isId, type CertificateRow } from '#store';
import type { AuthorityContext } from './context.js';
import { secretSealContext } from './devices.js';

/** Who enrolls: proved by a one-time secret, or by a certificate of ours that the TLS connection was made with. */
export type DevicePrincipal =
  | { kind: 'secret'; deviceId: string; secretId: string }
  | { kind: 'certificate'; deviceId: string; certificate: Certificate; row: CertificateRow };

const WRONG_SECRET = 'user name or one-time secret is wrong, expired or used';

export const wrongSecret = (): AuthorityError => new AuthorityError('unauthenticated', WRONG_SECRET);

/**
 * One-time secret to device. One text and one amount of work for an unknown user, an unknown secret and a wrong one
 * (EX12); whether the secret may still be used is decided under its row's lock.
 */
export async function authenticateSecret(
  a: AuthorityContext,
  basic: { user: string; password: string },
  address: string,
): Promise<DevicePrincipal> {
  const credential = parseCredential(basic.password);
  const id = credential?.kind === 'enrollmentSecret' ? credential.id : undefined;
  a.failedAttempts.check(address, id);
  const row = id === undefined ? undefined : await a.database.single((tx) => findEnrollmentSecret(tx, id));
  const pepper = row && a.peppers.get(row.pepperVersion);
  if (row && !pepper) throw new AuthorityError('internal', 'secrets/pepper lacks a version that is in use');
  const verifier =
    row && pepper ? openVerifier(pepper, row.sealedVerifier, secretSealContext(row.id, row.deviceId)) : undefined;
  const presented = credential ? verifierHash(credential) : Buffer.alloc(32);
  const matches = verifierMatches(verifier, presented);
  // E45: the user name may be empty, the secret alone names the device.
  if (!matches || !row || (basic.user !== '' && basic.user !== row.deviceId)) {
    a.failedAttempts.record(address, id);
    throw wrongSecret();
  }
  return { kind: 'secret', deviceId: row.deviceId, secretId: row.id };
}

const VERIFIED_MAX = 10_000;

/** Leaf certificates whose path was found good: signatures need no second look, validity and status are asked each time. */
export class VerifiedLeaves {
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

/**
 * The certificate of the TLS connection to device: path to our root by RFC 5280 section 6, clientAuth, validity, and
 * status by the log, asked on every request, resumed session or not (E11, E40, EX15). Throws `forbidden`.
 */
export async function authenticateCertificate(
  a: AuthorityContext,
  leaves: VerifiedLeaves,
  der: Buffer,
): Promise<DevicePrincipal> {
  const now = a.clock.now();
  const certificate = leaves.get(der) ?? (await verifyLeaf(a, leaves, der));
  if (certificate.notAfter < now) throw new AuthorityError('forbidden', 'the client certificate has expired');
  if (certificate.notBefore > now) throw new AuthorityError('forbidden', 'the client certificate is not yet valid');
  a.follower.assertFresh(60_000);
  const known = a.follower.index.certificate(certificate.serial);
  if (known?.status === 'revoked' || known?.status === 'onHold') throw revoked();
  const row = await a.database.single((tx) => findCertificate(tx, Buffer.from(certificate.serial, 'hex')));
  if (!row?.der?.equals(der)) throw new AuthorityError('forbidden', 'the client certificate is not one of ours');
  if (row.deviceId === null || !isId(row.deviceId)) {
    throw new AuthorityError('forbidden', 'the client certificate is not that of a device');
  }
  return { kind: 'certificate', deviceId: row.deviceId, certificate, row };
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
    intermediates: issuers.filter((issuer) => issuer.kind === 'issuing').map((one) => readCertificate(one.certificate)),
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

function parseLeaf(der: Buffer): Certificate {
  try {
    return readCertificate(der);
  } catch (cause) {
    throw new AuthorityError('forbidden', 'the client certificate cannot be read', { cause });
  }
}
