import { contentInfo, encodeSignedData, type CmsSigner } from './cms-signed.js';
import { encodeEnvelopedData, type ContentCipher } from './cms-enveloped.js';
import type { CmsRecipient, KeyWrap } from './cms-recipient.js';
import { der } from './der/write.js';
import { OID } from './oids.js';

/**
 * A private key for one recipient (RFC 7030 section 4.4.2, RFC 5958 section 4): EnvelopedData around SignedData around an
 * AsymmetricKeyPackage of this one PKCS#8 key, signed by who made the key. Returns the ContentInfo. What held the key in clear here
 * is zeroed; `pkcs8` stays the caller's to zero.
 */
export function sealKeyPackage(message: {
  pkcs8: Buffer;
  signer: CmsSigner;
  signingTime: Date;
  recipient: CmsRecipient;
  wrap: KeyWrap;
  cipher: ContentCipher;
}): Buffer {
  const { pkcs8, signer, signingTime, ...encryption } = message;
  const keyPackage = der.sequence(pkcs8);
  const signedData = encodeSignedData({
    contentType: OID.asymmetricKeyPackage,
    content: keyPackage,
    signer,
    signingTime,
  });
  try {
    const enveloped = encodeEnvelopedData({ contentType: OID.signedData, content: signedData, ...encryption });
    return contentInfo(OID.envelopedData, enveloped);
  } finally {
    keyPackage.fill(0);
    signedData.fill(0);
  }
}
