import { announcedDigest, type IssuerStatus } from '#status';
import { latestStatus, storeIssuerCertificate, type StatusChange } from '#store';
import { logStatus, statusChange, type StatusAudit } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import type { Issuer } from './hierarchy.js';

/** What is announced: the certificate, and beside it what it does not say. */
export type Announced = Pick<Issuer, 'id' | 'certificate' | 'termsBytes'>;

/** The row of the log about an issuer: what it is now, and which certificate it is that is so. */
export function issuerChange(issuer: Announced, status: IssuerStatus, at: Date): StatusChange {
  const reason = announcedDigest(issuer.certificate, issuer.termsBytes);
  return statusChange({ kind: 'issuer', subject: issuer.id, status, reason, at });
}

/**
 * The certificate of a new issuer arrives and is announced, in one transaction: from here on every plane believes it.
 * Returns the row of the log; undefined when somebody else has done it before.
 */
export async function announceIssuer(
  a: Pick<AuthorityContext, 'plane' | 'database' | 'clock' | 'macKey'>,
  actor: Actor,
  issuer: Announced & { status: IssuerStatus },
  audits: readonly StatusAudit[] = [],
): Promise<number | undefined> {
  const { id, certificate, status } = issuer;
  return a.database.transaction(
    async (tx) => {
      const stored = await storeIssuerCertificate(tx, id, certificate);
      if (!stored && (await latestStatus(tx, 'issuer', id)) !== undefined) return undefined;
      const at = a.clock.now();
      return logStatus(tx, a, actor, at, audits, [issuerChange(issuer, status, at)]);
    },
    scopeOf(a, actor),
  );
}

export function issuerAudit(
  a: Pick<AuthorityContext, 'authorityId'>,
  action: StatusAudit['action'],
  issuer: Pick<Issuer, 'id'>,
  detail: StatusAudit['detail'],
): StatusAudit {
  return {
    action,
    subject: `issuer:${issuer.id}`,
    ownerOrgId: null,
    issuerOrgId: a.authorityId,
    ...(detail && { detail }),
  };
}
