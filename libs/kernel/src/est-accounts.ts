import { AuthorityError } from './errors.js';

/** The OpenID Connect issuer whose tokens enroll devices. */
export interface EstAccounts {
  issuer: string;
  /** What its tokens must be meant for. */
  audience: string;
  /** Seconds after its issue that a token counts at most. */
  maxAgeSeconds: number;
}

/** Both or neither of issuer and audience. HTTPS, but on the loopback address of a test. Throws `invalid`. */
export function readEstAccounts(given: {
  issuer: string | undefined;
  audience: string | undefined;
  maxAgeSeconds: number;
}): EstAccounts | undefined {
  const { issuer, audience, maxAgeSeconds } = given;
  if (issuer === undefined && audience === undefined) return undefined;
  if (issuer === undefined || audience === undefined) {
    const member = `TOUCHMARK_EST_ACCOUNT_${issuer === undefined ? 'ISSUER' : 'AUDIENCE'}`;
    throw new AuthorityError('invalid', `${member} must be set too: who issues tokens, and whom they are for`, {
      member,
    });
  }
  if (!issuer.startsWith('https://') && !issuer.startsWith('http://127.0.0.1:')) {
    const member = 'TOUCHMARK_EST_ACCOUNT_ISSUER';
    throw new AuthorityError('invalid', `${member} must be an https:// URL`, { member });
  }
  return { issuer, audience, maxAgeSeconds };
}
