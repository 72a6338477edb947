import { createCipheriv, randomBytes } from 'node:crypto';
import { encodeRecipient, type CmsRecipient, type KeyWrap } from './cms-recipient.js';
import { der } from './der/write.js';
import { OID } from './oids.js';

/** AES-CBC alone: AES-GCM belongs into AuthEnvelopedData (RFC 5084 section 1.1), which RFC 7030 does not speak of. */
export type ContentCipher = 'aes128-cbc' | 'aes256-cbc';

const CIPHERS: Readonly<Record<ContentCipher, { oid: string; keyBytes: number; name: string }>> = {
  'aes128-cbc': { oid: OID.aes128Cbc, keyBytes: 16, name: 'aes-128-cbc' },
  'aes256-cbc': { oid: OID.aes256Cbc, keyBytes: 32, name: 'aes-256-cbc' },
};

/**
 * The EnvelopedData itself (RFC 5652 section 6.1), for one recipient, around the value of a content of `contentType`. The content
 * key is drawn here and forgotten. Throws `invalid` (code `unusableKey`) for a recipient whose key cannot be encrypted to.
 */
export function encodeEnvelopedData(message: {
  contentType: string;
  content: Buffer;
  recipient: CmsRecipient;
  wrap: KeyWrap;
  cipher: ContentCipher;
}): Buffer {
  const { oid, keyBytes, name } = CIPHERS[message.cipher];
  const key = randomBytes(keyBytes);
  try {
    const iv = randomBytes(16);
    const cipher = createCipheriv(name, key, iv);
    const encrypted = Buffer.concat([cipher.update(message.content), cipher.final()]);
    const { recipientInfo, version } = encodeRecipient(message.recipient, message.wrap, key);
    return der.sequence(
      der.integer(version),
      der.setOf(recipientInfo),
      der.sequence(
        der.oid(message.contentType),
        der.sequence(der.oid(oid), der.octetString(iv)),
        der.primitive(0, encrypted),
      ),
    );
  } finally {
    key.fill(0);
  }
}
