import { hash } from 'node:crypto';
import { digestByOid } from './cms-signed.js';
import { DerReader, type DerLimits } from './der/read.js';
import { contextConstructedTag, TAG } from './der/tags.js';
import { walkDer } from './der/walk.js';
import { der } from './der/write.js';
import { OID } from './oids.js';
import type { SubjectPublicKey } from './public-key.js';
import { type SignatureDigest, verifyBytes } from './signature.js';

/** A SignedData with its content inside. Nothing of it is verified yet. */
export interface SignedMessage {
  contentType: string;
  content: Buffer;
  /** DER, in the order of the message. */
  certificates: Buffer[];
  signers: CmsSignerInfo[];
}

export interface CmsSignerInfo {
  /** By which of the two a signer names its key. */
  issuerDer: Buffer | undefined;
  /** Lower-case hex, with `issuerDer`. */
  serial: string | undefined;
  subjectKeyId: Buffer | undefined;
  digest: SignatureDigest;
  /** As the SET OF that is signed; undefined: the content itself is signed. */
  signedAttributes: Buffer | undefined;
  contentType: string | undefined;
  messageDigest: Buffer | undefined;
  signingTime: Date | undefined;
  signatureAlgorithmDer: Buffer;
  signature: Buffer;
}

const LIMITS: DerLimits = { maxBytes: 65_536, maxDepth: 24, maxNodes: 8_192 };
const MAX_SIGNERS = 4;
const MAX_CERTIFICATES = 16;

/**
 * Reads a ContentInfo with SignedData (RFC 5652 section 5): DER through and through, content inside, at most 4 signers and 16
 * certificates. Throws `malformed`, `tooLarge`, and `invalid` (code `unsupportedAlgorithm`) for a digest that is not taken.
 */
export function readSignedData(message: Buffer): SignedMessage {
  walkDer(message, 'CMS message', LIMITS);
  const outer = DerReader.openSequence(message, 'CMS message', LIMITS);
  if (outer.oid() !== OID.signedData) outer.fail('is no SignedData');
  const wrapped = outer.enter(contextConstructedTag(0));
  const signedData = wrapped.sequence();
  wrapped.finish();
  outer.finish();
  signedData.smallInteger();
  signedData.set();
  const { contentType, content } = readContent(signedData.sequence());
  const certificates = readElements(signedData, 0, MAX_CERTIFICATES);
  if (signedData.peekTag() === contextConstructedTag(1)) signedData.skip();
  const infos = signedData.set();
  signedData.finish();
  const signers: CmsSignerInfo[] = [];
  while (!infos.done) {
    if (signers.length === MAX_SIGNERS) infos.fail(`has more than ${MAX_SIGNERS} signers`);
    signers.push(readSignerInfo(infos.sequence()));
  }
  return { contentType, content, certificates, signers };
}

function readContent(encapsulated: DerReader): { contentType: string; content: Buffer } {
  const contentType = encapsulated.oid();
  const tagged = encapsulated.optionalContext(0);
  if (tagged === undefined) encapsulated.fail('has its content outside');
  const content = tagged.octetString();
  tagged.finish();
  encapsulated.finish();
  return { contentType, content };
}

function readElements(reader: DerReader, number: number, max: number): Buffer[] {
  const list = reader.optionalContext(number);
  const elements: Buffer[] = [];
  while (list !== undefined && !list.done) {
    if (elements.length === max) list.fail(`has more than ${max} certificates`);
    elements.push(list.element());
  }
  return elements;
}

function readSignerInfo(info: DerReader): CmsSignerInfo {
  info.smallInteger();
  const subjectKeyId = info.optionalContextBytes(0);
  const named = subjectKeyId === undefined ? readIssuerAndSerial(info.sequence()) : undefined;
  const digest = digestByOid(readDigestAlgorithm(info.sequence()));
  const tagged = info.peekTag() === contextConstructedTag(0) ? info.element() : undefined;
  const signatureAlgorithmDer = info.element();
  const signature = info.octetString();
  if (info.peekTag() === contextConstructedTag(1)) info.skip();
  info.finish();
  const signedAttributes = tagged && retagged(tagged);
  return {
    issuerDer: named?.issuerDer,
    serial: named?.serial,
    subjectKeyId,
    digest,
    signedAttributes,
    ...readSignedAttributes(signedAttributes),
    signatureAlgorithmDer,
    signature,
  };
}

/** RFC 5652 section 5.4: what is signed has the tag of a SET OF, not the `[0]` that it is sent with. */
function retagged(element: Buffer): Buffer {
  const copy = Buffer.from(element);
  copy[0] = TAG.set;
  return copy;
}

function readIssuerAndSerial(sid: DerReader): { issuerDer: Buffer; serial: string } {
  const issuerDer = sid.element();
  const serial = sid.integer().toString('hex');
  sid.finish();
  return { issuerDer, serial };
}

function readDigestAlgorithm(algorithm: DerReader): string {
  const oid = algorithm.oid();
  if (!algorithm.done) algorithm.null();
  algorithm.finish();
  return oid;
}

function readSignedAttributes(
  set: Buffer | undefined,
): Pick<CmsSignerInfo, 'contentType' | 'messageDigest' | 'signingTime'> {
  const known: Pick<CmsSignerInfo, 'contentType' | 'messageDigest' | 'signingTime'> = {
    contentType: undefined,
    messageDigest: undefined,
    signingTime: undefined,
  };
  if (set === undefined) return known;
  const list = DerReader.open(set, 'signed attributes', LIMITS).set();
  const seen = new Set<string>();
  while (!list.done) {
    const attribute = list.sequence();
    const type = attribute.oid();
    if (seen.has(type)) list.fail(`repeats signed attribute ${type}`);
    seen.add(type);
    const values = attribute.set();
    attribute.finish();
    if (type === OID.contentType) known.contentType = values.oid();
    else if (type === OID.messageDigest) known.messageDigest = values.octetString();
    else if (type === OID.signingTime) known.signingTime = values.time();
    else continue;
    values.finish();
  }
  return known;
}

/**
 * True exactly if this signer signed this content with this key: the signature over the attributes, and by them type and digest of
 * the content; without attributes, which only content of type id-data may lack, over the content (RFC 5652 sections 5.3 to 5.6).
 */
export function verifySigner(message: SignedMessage, signer: CmsSignerInfo, publicKey: SubjectPublicKey): boolean {
  const { signedAttributes, digest } = signer;
  const algorithm = algorithmOf(signer);
  if (signedAttributes === undefined) {
    return (
      message.contentType === OID.data && verifyBytes(algorithm, publicKey.keyObject, message.content, signer.signature)
    );
  }
  const fits =
    signer.contentType === message.contentType &&
    signer.messageDigest?.equals(hash(digest, message.content, 'buffer')) === true;
  return fits && verifyBytes(algorithm, publicKey.keyObject, signedAttributes, signer.signature);
}

/** Many sign with RSA and say `rsaEncryption`, leaving the hash to the digest algorithm (RFC 3370 section 3.2). */
function algorithmOf({ signatureAlgorithmDer, digest }: CmsSignerInfo): Buffer {
  const algorithm = DerReader.openSequence(signatureAlgorithmDer, 'signature algorithm', LIMITS);
  if (algorithm.oid() !== OID.rsaEncryption) return signatureAlgorithmDer;
  const oid = {
    sha256: OID.sha256WithRSAEncryption,
    sha384: OID.sha384WithRSAEncryption,
    sha512: OID.sha512WithRSAEncryption,
  };
  return der.sequence(der.oid(oid[digest]), der.null());
}
