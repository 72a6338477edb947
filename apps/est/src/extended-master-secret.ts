import { DerReader } from '#pki';

/** `[13]` of OpenSSL's SSL_SESSION: its flags. */
const FLAGS_TAG = 0xad;
const EXTENDED_MASTER_SECRET = 1;

/**
 * True when the TLS 1.2 session was made with extended master secret (RFC 7627). Node has no call for it; the session's own
 * encoding (OpenSSL's SSL_SESSION, DER) tells in bit 0 of its flags (E63). Anything unreadable counts as without.
 */
export function hasExtendedMasterSecret(session: Buffer | undefined): boolean {
  if (session === undefined) return false;
  try {
    const fields = DerReader.openSequence(session, 'TLS session');
    while (!fields.done) {
      if (fields.peekTag() !== FLAGS_TAG) {
        fields.skip();
        continue;
      }
      const lastOctet = fields.enter(FLAGS_TAG).integer().at(-1) ?? 0;
      return (lastOctet & EXTENDED_MASTER_SECRET) !== 0;
    }
  } catch {
    // not what OpenSSL writes: no proof, so no binding
  }
  return false;
}
