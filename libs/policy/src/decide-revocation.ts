import { AuthorityError } from '#kernel';
import type { CrlReason } from '#pki';

/** Reasons that a caller may give; removeFromCRL is not one, aACompromise concerns attribute certificates only (CX03). */
export const REVOCATION_REASONS = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  'privilegeWithdrawn',
] as const satisfies readonly CrlReason[];
export type RevocationReason = (typeof REVOCATION_REASONS)[number];

export interface CurrentStatus {
  status: string;
  reason: string | null;
}

/** What a revocation does to a certificate: a change, or nothing because it is so already. Throws `conflict` (C15, CX02). */
export function decideRevocation(current: CurrentStatus | undefined, reason: RevocationReason): 'change' | 'same' {
  if (current?.status === 'revoked') {
    if (current.reason === reason) return 'same';
    // A final reason is tightened to keyCompromise and never otherwise changed.
    if (reason === 'keyCompromise') return 'change';
    throw new AuthorityError(
      'conflict',
      `already revoked (${current.reason ?? 'unspecified'}); only keyCompromise may follow`,
    );
  }
  if (current?.status === 'onHold' && reason === 'certificateHold') return 'same';
  return 'change';
}

/** CX04: between notBefore and now. */
export function checkInvalidityDate(date: Date | undefined, notBefore: Date, now: Date): void {
  if (date === undefined) return;
  if (date > now)
    throw new AuthorityError('invalid', 'invalidityDate: lies in the future', { member: 'invalidityDate' });
  if (date < notBefore) {
    throw new AuthorityError('invalid', 'invalidityDate: lies before the certificate began', {
      member: 'invalidityDate',
    });
  }
}
