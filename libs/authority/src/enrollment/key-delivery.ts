import { AuthorityError } from '#kernel';
import {
  DerReader,
  OID,
  readCertificate,
  type Certificate,
  type CmsRecipient,
  type ContentCipher,
  type KeyRequest,
  type KeyWrap,
} from '#pki';
import { checkRowMac, intentRowMac } from '#status';
import { listUnexpiredOfDevice } from '#store';
import type { AuthorityContext } from '../context.js';
import { openTransportKey } from '../transport-keys.js';

/** To whom a private key is encrypted, and how. */
export interface KeyDelivery {
  recipient: CmsRecipient;
  wrap: KeyWrap;
  cipher: ContentCipher;
}

/**
 * What the request wants its private key to be encrypted to (RFC 7030 sections 4.4.1.1 and 4.4.1.2); undefined where it names no key.
 * A named key that is not there is an error, never a reason to send the private key in clear (E106). Throws `invalid`, code
 * `unknownKeyId`, `noSharedWrap` (also for a request without SMIMECapabilities, E107) or `keyUsage` (E108).
 */
export async function chooseDelivery(
  a: AuthorityContext,
  asked: Pick<KeyRequest, 'capabilities' | 'decryptKeyId' | 'asymmetricDecryptKeyId'>,
  deviceId: string,
): Promise<KeyDelivery | undefined> {
  const { decryptKeyId, asymmetricDecryptKeyId, capabilities } = asked;
  const named = decryptKeyId ?? asymmetricDecryptKeyId;
  if (named === undefined) return undefined;
  if (decryptKeyId !== undefined && asymmetricDecryptKeyId !== undefined) {
    throw new AuthorityError('invalid', 'the request names a symmetric and an asymmetric key; name one');
  }
  if (capabilities === undefined) {
    throw noSharedWrap('the request asks for encryption without SMIMECapabilities to say how');
  }
  const offered = offeredAlgorithms(capabilities);
  if (asymmetricDecryptKeyId === undefined) return symmetricDelivery(a, deviceId, named, offered);
  const certificate = await findEncryptionCertificate(a, deviceId, named);
  const wrap = wrapFor(certificate, offered);
  return { recipient: { kind: 'certificate', certificate }, wrap, cipher: cipherFor(wrap, offered) };
}

const unknownKeyId = (): AuthorityError =>
  new AuthorityError('invalid', 'the key that the request wants its private key encrypted to is not known here', {
    code: 'unknownKeyId',
  });

const noSharedWrap = (why: string): AuthorityError => new AuthorityError('invalid', why, { code: 'noSharedWrap' });

/** The key that an operator registered for the device under this identifier; it is wrapped with by its whole length. */
async function symmetricDelivery(
  a: AuthorityContext,
  deviceId: string,
  keyIdentifier: Buffer,
  offered: ReadonlySet<string>,
): Promise<KeyDelivery> {
  const key = await openTransportKey(a, deviceId, keyIdentifier);
  if (key === undefined) throw unknownKeyId();
  const [wrap, oid] =
    key.length === 32 ? (['aes256-wrap', OID.aes256Wrap] as const) : (['aes128-wrap', OID.aes128Wrap] as const);
  if (!offered.has(oid))
    throw noSharedWrap(`the SMIMECapabilities do not offer ${wrap}, which the key that is named is for`);
  return { recipient: { kind: 'symmetric', keyIdentifier, key }, wrap, cipher: cipherFor(wrap, offered) };
}

/** A certificate of ours to the same device, good now, whose subjectKeyIdentifier is what the request names. */
async function findEncryptionCertificate(a: AuthorityContext, deviceId: string, keyId: Buffer): Promise<Certificate> {
  const now = a.clock.now();
  a.follower.assertFresh(60_000);
  const rows = await a.database.single((tx) => listUnexpiredOfDevice(tx, deviceId, now));
  for (const row of rows) {
    if (row.der === null) continue;
    const certificate = readCertificate(row.der);
    if (certificate.subjectKeyId?.equals(keyId) !== true || certificate.notBefore > now) continue;
    const status = a.follower.index.certificate(certificate.serial)?.status;
    if (status === 'revoked' || status === 'onHold') continue;
    checkRowMac(row.mac, intentRowMac(a.macKey, row), `certificate ${certificate.serial}`);
    if (!certificate.tbs.equals(row.tbs)) continue;
    checkMayEncrypt(certificate);
    return certificate;
  }
  throw unknownKeyId();
}

/** E108: RSA keys by keyEncipherment, EC keys by keyAgreement, or no restriction at all. */
function checkMayEncrypt({ keyUsage, publicKey }: Certificate): void {
  const needed = publicKey.keyType.startsWith('rsa-') ? 'keyEncipherment' : 'keyAgreement';
  if (keyUsage === undefined || keyUsage.includes(needed)) return;
  throw new AuthorityError('invalid', `the certificate of the key that is named does not allow ${needed}`, {
    code: 'keyUsage',
  });
}

const KEY_AGREEMENTS: ReadonlySet<string> = new Set([OID.ecdhSha256Kdf, OID.ecdhSha384Kdf, OID.ecdhSha512Kdf]);

/** OIDs of the capabilities, and of the key wrap that a key agreement among them has as its parameter (RFC 5753 section 7.1.4). */
function offeredAlgorithms(capabilities: NonNullable<KeyRequest['capabilities']>): ReadonlySet<string> {
  const offered = new Set<string>();
  for (const { oid, parameters } of capabilities) {
    offered.add(oid);
    if (parameters !== undefined && KEY_AGREEMENTS.has(oid)) {
      offered.add(DerReader.openSequence(parameters, 'SMIMECapabilities').oid());
    }
  }
  return offered;
}

/** E107, EX25. */
function wrapFor({ publicKey: { keyType } }: Certificate, offered: ReadonlySet<string>): KeyWrap {
  if (keyType.startsWith('rsa-')) {
    if (offered.has(OID.rsaesOaep)) return 'rsa-oaep';
    throw noSharedWrap('the SMIMECapabilities do not offer RSAES-OAEP, by which an RSA key is used here');
  }
  if (offered.has(OID.aes256Wrap)) return 'aes256-wrap';
  if (offered.has(OID.aes128Wrap)) return 'aes128-wrap';
  throw noSharedWrap('the SMIMECapabilities offer no key wrap that is used here; offer AES-256-WRAP or AES-128-WRAP');
}

/** What is offered, the longer key first; where nothing is said of the content, what fits the wrap. */
function cipherFor(wrap: KeyWrap, offered: ReadonlySet<string>): ContentCipher {
  if (offered.has(OID.aes256Cbc)) return 'aes256-cbc';
  if (offered.has(OID.aes128Cbc)) return 'aes128-cbc';
  return wrap === 'aes128-wrap' ? 'aes128-cbc' : 'aes256-cbc';
}
