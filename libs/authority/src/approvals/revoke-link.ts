import { AuthorityError } from '#kernel';
import { decideRevocation, type RevocationReason } from '#policy';
import { announcedDigest, checkRowMac, intentRowMac } from '#status';
import { blockKey, latestStatus, listIssuerLinks, lockCertificate, type CertificateRow, type Tx } from '#store';
import { certificateAudit, LINK_PROFILE, revocation } from '../certificates.js';
import { statusChange } from '../change-status.js';
import type { AuthorityContext } from '../context.js';
import { linkRequester } from '../prepare-ca.js';
import { notFound } from '../registry.js';
import type { Operation } from './operation.js';

/** `serial`: of the certificate, lower-case hex. */
export type LinkRevocation = Readonly<{ serial: string; reason: Exclude<RevocationReason, 'certificateHold'> }>;

/**
 * Revokes a certificate that one of our CAs made for another key of a CA: a customer's CA, a foreign one, or the other key of
 * a root. What is below it loses its path, so one person is not enough. It is announced no more.
 */
export const revokeLink: Operation<LinkRevocation> = {
  name: 'ca.revokeLink',
  permission: 'issuer:change',
  subject: ({ serial }) => `certificate:${serial}`,

  async check(tx, a, _actor, { serial, reason }) {
    await requireLink(tx, a, serial);
    if (decideRevocation(await latestStatus(tx, 'certificate', serial), reason) === 'same') {
      throw new AuthorityError('conflict', `the certificate is revoked already (${reason})`);
    }
  },

  async execute(tx, a, actor, { serial, reason }, { approvalId, at }) {
    const row = await requireLink(tx, a, serial);
    const latest = await latestStatus(tx, 'certificate', serial);
    const link = (await listIssuerLinks(tx)).find((one) => linkRequester(one) === row.requester);
    if (reason === 'keyCompromise') await blockKey(tx, row.spkiSha256, reason, { actor: actor.id });
    const change = { status: 'revoked', reason, at, invalidityDate: null };
    const gone = link?.certificate
      ? [
          statusChange({
            kind: 'issuer',
            subject: link.id,
            status: 'revoked',
            reason: announcedDigest(link.certificate, null),
            at,
          }),
        ]
      : [];
    return {
      audits: [certificateAudit(row, 'certificate.revoked', { reason, approvalId, linkId: link?.id ?? null })],
      changes: [revocation(row, latest, change), ...gone],
      result: { serial, status: 'revoked' },
    };
  },
};

async function requireLink(tx: Tx, a: Pick<AuthorityContext, 'macKey'>, serial: string): Promise<CertificateRow> {
  const row = await lockCertificate(tx, Buffer.from(serial, 'hex'));
  if (row?.profile !== LINK_PROFILE) throw notFound('certificate');
  checkRowMac(row.mac, intentRowMac(a.macKey, row), `certificate ${serial}`);
  return row;
}
