import { AuthorityError } from '#kernel';
import { decideRevocation, type RevocationReason } from '#policy';
import { latestStatus, lockCertificate, type CertificateRow, type StatusRow, type Tx } from '#store';
import { issuerAudit, issuerChange } from '../announce-issuer.js';
import { certificateAudit, revocation } from '../certificates.js';
import type { AuthorityContext } from '../context.js';
import type { Issuer } from '../hierarchy.js';
import { requireIssuer } from './activate-issuer.js';
import type { Operation } from './operation.js';

export type IssuerRevocation = Readonly<{ issuerId: string; reason: Exclude<RevocationReason, 'certificateHold'> }>;

/**
 * Revokes the certificate of an issuing CA through the root: nothing that it issued is good any more. Also of the one that
 * issues now; then nothing is issued until another one is activated.
 */
export const revokeIssuer: Operation<IssuerRevocation> = {
  name: 'ca.revoke',
  permission: 'issuer:change',
  subject: ({ issuerId }) => `issuer:${issuerId}`,

  async check(tx, a, _actor, { issuerId, reason }) {
    const { latest } = await requireRevocable(tx, a, issuerId);
    if (decideRevocation(latest, reason) === 'same') {
      throw new AuthorityError('conflict', `the CA is revoked already (${reason})`);
    }
  },

  async execute(tx, a, _actor, { issuerId, reason }, { at }) {
    const { issuer, row, latest } = await requireRevocable(tx, a, issuerId);
    const { id, name } = issuer;
    const change = { status: 'revoked', reason, at, invalidityDate: null };
    return {
      audits: [
        issuerAudit(a, 'ca.revoked', issuer, { name, reason }),
        certificateAudit(row, 'certificate.revoked', { reason }),
      ],
      changes: [revocation(row, latest, change), issuerChange(issuer, 'revoked', at)],
      result: { issuerId: id, status: 'revoked', serial: issuer.serial },
    };
  },
};

async function requireRevocable(
  tx: Tx,
  a: AuthorityContext,
  issuerId: string,
): Promise<{ issuer: Issuer; row: CertificateRow; latest: StatusRow | undefined }> {
  const issuer = await requireIssuer(tx, a, issuerId);
  if (issuer.kind === 'root') {
    throw new AuthorityError(
      'conflict',
      'the root cannot be revoked: nobody is above it; take it out of what you trust',
      {
        code: 'rootNotRevocable',
      },
    );
  }
  if (issuer.above[0]?.caKeyId === null) {
    throw new AuthorityError('conflict', 'its root is kept elsewhere: revoke it there, and import the CRL', {
      code: 'externalKey',
    });
  }
  const row = await lockCertificate(tx, Buffer.from(issuer.serial, 'hex'));
  if (!row) throw new AuthorityError('internal', 'the certificate of a CA is gone');
  return { issuer, row, latest: await latestStatus(tx, 'certificate', issuer.serial) };
}
