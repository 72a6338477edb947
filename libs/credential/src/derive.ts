import { createHmac, hash } from 'node:crypto';
import { encodeBase62 } from './base62.js';

const DERIVED_LENGTH = 43;

/** HMAC-SHA-256(secret, "tmk1:root"), 32 bytes: from it, and not from the secret, all per-provider secrets follow. */
export function derivationRoot(secret: Buffer): Buffer {
  return createHmac('sha256', secret).update('tmk1:root').digest();
}

/** HMAC-SHA-256(root, providerId), 32 bytes: what one provider sees in place of the secret. */
export function derivedSecret(root: Buffer, providerId: string): Buffer {
  return createHmac('sha256', root).update(providerId, 'utf8').digest();
}

/**
 * SHA-256("tmk1:feed" | base62(derived)), 32 bytes: what a provider's feed holds. Over the text (43 characters), since
 * that is what the provider receives; a leaked feed gives no key and means nothing at another provider.
 */
export function feedVerifier(derived: Buffer): Buffer {
  return hash('sha256', `tmk1:feed${encodeBase62(derived, DERIVED_LENGTH)}`, 'buffer');
}
