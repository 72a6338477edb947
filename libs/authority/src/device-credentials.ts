import { openVerifier, parseCredential, verifierHash, verifierMatches } from '#credential';
import { AuthorityError } from '#kernel';
import { OID, readCertificate, validatePath, type Certificate, type TrustAnchor } from '#pki';
import { checkRowMac, intentRowMac } from '#status';
import { findCertificate, isId, type CertificateRow, type SecretEnrollment } from '#store';
import type { AuthorityContext } from './context.js';
import { requireUsable } from './issuer-directory.js';
import { secretSealContext } from './register-device.js';

/** A device that proved itself with a certificate of ours. */
export interface DeviceCertificate {
  deviceId: string;
  certificate: Certificate;
  row: CertificateRow;
}

export const wrongSecret = (): AuthorityError =>
  new AuthorityError('unauthenticated', 'user name or one-time secret is wrong, expired or used');

export interface PresentedSecret {
  user: string;
  /** Of the secret; undefined when it has not the form of one. */
  id: string | undefined;
  hash: Buffer;
  address: string;
}

/** Reads what was sent by HTTP Basic. Throws `limited` when this address, or this secret, has failed too often (EX14). */
export function presentedSecret(
  a: AuthorityContext,
  basic: { user: string; password: string },
  address: string,
): PresentedSecret {
  const credential = parseCredential(basic.password);
  const id = credential?.kind === 'enrollmentSecret' ? credential.id : undefined;
  a.failedAttempts.check(address, id);
  return { user: basic.user, id, hash: credential ? verifierHash(credential) : Buffer.alloc(32), address };
}

/**
 * One text and one amount of work for an unknown user, an unknown secret and a wrong one (EX12). Whether the secret may
 * still be used is another question.
 */
export function checkSecret(
  a: AuthorityContext,
  presented: PresentedSecret,
  found: SecretEnrollment | undefined,
): SecretEnrollment {
  const matches = verifierMatches(found && openSecret(a, found), presented.hash);
  // E45: the user name may be empty, the secret alone names the device.
  if (!matches || !found || (presented.user !== '' && presented.user !== found.device.id)) {
    a.failedAttempts.record(presented.address, presented.id);
    throw wrongSecret();
  }
  return found;
}

function openSecret(a: AuthorityContext, { secret, device }: SecretEnrollment): Buffer {
  const pepper = a.peppers.get(secret.pepperVersion);
  if (!pepper) throw new AuthorityError('internal', 'secrets/pepper lacks a version that is in use');
  return openVerifier(pepper, secret.sealedVerifier, secretSealContext(secret, device));
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
): Promise<DeviceCertificate> {
  const now = a.clock.now();
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
