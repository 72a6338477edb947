import { readCertificate } from '#pki';
import type { AuthorityError } from '#kernel';
import type { Actor, AuthorityContext } from '../context.js';
import { auditFailedAuthentication } from '../operator-access.js';
import { auditRefusal } from '../refusal.js';

/**
 * For refusals, also those before a request could be read. Nothing is written while the database is down; of one address
 * not more than the failed authentications it may have in a minute, so that no flood of bad requests becomes one of rows.
 */
export async function recordRefusal(
  a: AuthorityContext,
  refused: {
    address: string;
    requestId: string;
    operation: string;
    claimedUser?: string | undefined;
    /** Of the TLS connection: its key was proved to be held, whatever the certificate is worth. */
    peerCertificate?: Buffer | undefined;
    error: AuthorityError;
  },
): Promise<void> {
  const { error } = refused;
  if (error.kind === 'unavailable' || error.kind === 'internal' || error.kind === 'limited') return;
  if (!a.failedAttempts.mayRecordRefusal(refused.address)) return;
  if (error.kind === 'unauthenticated') await auditFailedAuthentication(a, refused, refused.operation);
  const actor: Actor = {
    id: `anonymous:${refused.address}`,
    organizationId: a.authorityId,
    authority: false,
    requestId: refused.requestId,
  };
  // A user name may be anything, even a secret typed into the wrong field: only what looks like a device id is kept.
  const claimed = refused.claimedUser !== undefined && /^[0-9a-f-]{36}$/.test(refused.claimedUser);
  await auditRefusal(a, actor, {
    action: 'certificate.requested',
    subject: claimed ? `device:${refused.claimedUser}` : subjectOf(refused.peerCertificate),
    error,
    detail: { operation: refused.operation },
  });
}

function subjectOf(peerCertificate: Buffer | undefined): string {
  if (peerCertificate === undefined) return 'device:unknown';
  try {
    return `certificate:${readCertificate(peerCertificate).serial}`;
  } catch {
    return 'certificate:unreadable';
  }
}
