import { hash } from 'node:crypto';
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
    label?: string | undefined;
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
    subject: claimed ? `device:${refused.claimedUser}` : subjectOf(refused),
    error,
    detail: {
      operation: refused.operation,
      code: error.code,
      ...(refused.label !== undefined && { label: refused.label }),
      ...(refused.peerCertificate && { certificateSha256: hash('sha256', refused.peerCertificate) }),
    },
  });
}

/** A first request may come with a certificate of anybody, whose serial says nothing here. */
function subjectOf({
  operation,
  peerCertificate,
}: {
  operation: string;
  peerCertificate?: Buffer | undefined;
}): string {
  if (peerCertificate === undefined || operation !== 'simplereenroll') return 'device:unknown';
  try {
    return `certificate:${readCertificate(peerCertificate).serial}`;
  } catch {
    return 'certificate:unreadable';
  }
}
