import { encodeName, encodeNameConstraints, OID, type Certificate } from '#pki';
import { findExecuted, type CertificateRow } from '#store';
import { crossSign, foreignCa, type CrossSigning } from '../approvals/cross-sign.js';
import { readProposal } from '../approvals/proposal.js';
import { linkRequester } from '../prepare-ca.js';
import { refusal, type SignerContext } from './signer-context.js';

/**
 * Somebody else's CA is certified only as two people approved: an executed proposal of this authority, by MAC and digest, of
 * this very certificate: its issuer, its key, its name, path length and name constraints. Throws as `recordedCertificate`.
 */
export async function requireApprovedCa(
  s: SignerContext,
  row: CertificateRow,
  certificate: Certificate,
): Promise<void> {
  const subject = `issuer:${row.issuerId}`;
  const executed = await s.database.transaction((tx) => findExecuted(tx, crossSign.name, subject));
  const approved = executed
    .map((one) => readProposal(s, one)?.parameters as CrossSigning | undefined)
    .find((one) => one !== undefined && linkRequester({ id: one.linkId }) === row.requester);
  if (approved === undefined) throw refusal('no CA was recorded with this key, and nobody approved it');
  if (!isAsApproved(certificate, approved)) throw refusal('it is not the CA that was approved');
}

function isAsApproved(certificate: Certificate, approved: CrossSigning): boolean {
  const { subject, publicKey } = foreignCa(approved);
  const { pathLen = 0, nameConstraints } = approved;
  const constraints = certificate.extensions.get(OID.nameConstraints)?.value ?? Buffer.alloc(0);
  return (
    certificate.publicKey.spki.equals(publicKey.spki) &&
    certificate.subjectDer.equals(encodeName(subject)) &&
    certificate.basicConstraints?.pathLen === pathLen &&
    constraints.equals(nameConstraints === undefined ? Buffer.alloc(0) : encodeNameConstraints(nameConstraints))
  );
}
