import { AuthorityError } from '#kernel';
import { type Certificate, readSubjectAltName } from './certificate.js';
import { type PossessionStatement, provingKey, readPossessionStatement } from './csr-possession.js';
import { type DerLimits, DerReader } from './der/read.js';
import { contextConstructedTag, TAG } from './der/tags.js';
import { walkDer } from './der/walk.js';
import { type Extension, readExtensions } from './extension.js';
import { type GeneralName, readGeneralNames } from './general-name.js';
import { type Name, readName } from './name.js';
import { OID } from './oids.js';
import { checkKeyStrength } from './key-strength.js';
import { parsePublicKey, type SubjectPublicKey } from './public-key.js';
import { signatureDigest, SUPPORTED_SIGNATURES, verifyBytes } from './signature.js';

export interface CertificationRequest {
  der: Buffer;
  subject: Name;
  subjectDer: Buffer;
  publicKey: SubjectPublicKey;
  /** The extensions asked for; wishes that policy judges, never copied into a certificate. */
  extensions: Extension[];
  /** The subjectAltName among them. */
  san: GeneralName[] | undefined;
  challengePassword: string | undefined;
  /** RFC 6402 2.8: an absent member means an empty subject, or no SAN; never are both absent (E83). */
  changeSubjectName: { subjectDer: Buffer | undefined; san: GeneralName[] | undefined } | undefined;
  /** RFC 9883: whose key signed instead of the one asked for; only of keys that cannot sign. */
  possession: PossessionStatement | undefined;
  /** DER of the PopLinkWitnessV2 that a full CMC request puts into each of its requests (RFC 5272 section 6.3.1.1). */
  popLinkWitness?: Buffer | undefined;
  /** OIDs of all attributes in the request, known or not. */
  attributeTypes: string[];
}

/** Octets of a certification request that are read (EX06). */
export const MAX_CSR_BYTES = 65_536;
export const CSR_LIMITS: DerLimits = { maxBytes: MAX_CSR_BYTES, maxDepth: 16, maxNodes: 4_096 };
/** RFC 2985 5.4.1 bounds the password at 255; RFC 7030 3.5 repeats it (E68). */
const MAX_CHALLENGE_OCTETS = 255;

/**
 * Reads a PKCS#10 request (RFC 2986 section 4) and proves possession of its key (E60). DER through and through, exactly one element,
 * version v1, no control characters in names. Throws AuthorityError: 'malformed' for structure and for a signature that does not verify
 * (code 'badSignature'), 'invalid' for weak keys ('weakKey') and algorithms that are not taken ('unsupportedKey',
 * 'unsupportedAlgorithm'), 'tooLarge' above 64 KiB. `signer` gives the certificate of the connection, by whose key an ML-KEM key is asked for
 * (RFC 9883, P54; code 'possession' where that does not hold). SET OF need not be sorted: the signature covers the bytes as they are, and real
 * clients do not sort.
 */
export function readCsr(der: Buffer, signer: () => Certificate | undefined = () => undefined): CertificationRequest {
  walkDer(der, 'CSR', CSR_LIMITS);
  const outer = DerReader.openSequence(der, 'CSR', CSR_LIMITS);
  const info = outer.peekElement();
  const body = outer.sequence();
  const algorithm = outer.peekElement();
  readAlgorithm(outer);
  const signature = outer.wholeBitString();
  outer.finish();

  if (body.smallInteger() !== 0) body.fail('is not of version v1');
  const subjectDer = body.element();
  const subject = readSubject(body, subjectDer);
  const publicKey = parsePublicKey(body.element());
  const attributes = readAttributes(body);
  body.finish();

  checkKeyStrength(publicKey);
  if (DerReader.openSequence(algorithm, 'signature algorithm', CSR_LIMITS).oid() === OID.noSignature) {
    throw new AuthorityError('invalid', 'the CSR proves no possession of its key; sign it with that key', {
      code: 'popRequired',
    });
  }
  if (signatureDigest(algorithm) === undefined) {
    throw new AuthorityError(
      'invalid',
      `the CSR is signed with an algorithm that is not accepted; use ${SUPPORTED_SIGNATURES}`,
      {
        code: 'unsupportedAlgorithm',
      },
    );
  }
  const proving = provingKey(publicKey, attributes.possession, signer);
  if (!verifyBytes(algorithm, proving.keyObject, info, signature)) {
    throw new AuthorityError(
      'malformed',
      proving === publicKey
        ? 'the signature of the CSR does not verify with the key in it; sign it with that key'
        : 'the signature of the CSR does not verify with the certificate that it names; sign it with the key of that one',
      {
        code: 'badSignature',
      },
    );
  }
  return { der, subject, subjectDer, publicKey, ...attributes };
}

/** Only the shape: which algorithm it is, is judged by its whole encoding. */
export function readAlgorithm(outer: DerReader): void {
  const algorithm = outer.sequence();
  algorithm.oid();
  if (!algorithm.done) algorithm.skip();
  algorithm.finish();
}

export function readSubject(body: DerReader, subjectDer: Buffer): Name {
  const subject = readName(subjectDer);
  for (const { value } of subject.flat()) checkText(body, value, 'subject');
  return subject;
}

/** Control characters in a name are an attack on whoever shows or logs it (EX30); an empty value names nothing. */
function checkText(reader: DerReader, text: string, where: string): void {
  if (text === '') reader.fail(`has an empty value in its ${where}`);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) reader.fail(`has a control character in its ${where}`);
  }
}

export type Attributes = Pick<
  CertificationRequest,
  'extensions' | 'san' | 'challengePassword' | 'changeSubjectName' | 'possession' | 'popLinkWitness' | 'attributeTypes'
>;

/**
 * `[0]` is not optional in RFC 2986, yet some clients leave it out instead of sending it empty. `others` is given the values of each
 * attribute that is not one of ours.
 */
export function readAttributes(
  body: DerReader,
  others: (type: string, values: DerReader) => void = () => undefined,
): Attributes {
  const list = body.optionalContext(0);
  const attributes: Attributes = {
    extensions: [],
    san: undefined,
    challengePassword: undefined,
    changeSubjectName: undefined,
    possession: undefined,
    attributeTypes: [],
  };
  while (list !== undefined && !list.done) {
    const attribute = list.sequence();
    const type = attribute.oid();
    if (attributes.attributeTypes.includes(type)) list.fail(`repeats attribute ${type}`);
    attributes.attributeTypes.push(type);
    const values = attribute.set();
    attribute.finish();
    if (values.done) values.fail(`has attribute ${type} without a value`);
    if (!readAttribute(attributes, type, values)) others(type, values);
  }
  return attributes;
}

/** E68, E72, E83: each attribute that we know has exactly one value. False for another. */
function readAttribute(attributes: Attributes, type: string, values: DerReader): boolean {
  switch (type) {
    case OID.extensionRequest:
      attributes.extensions = readExtensions(values.sequence(), true);
      attributes.san = requestedSan(values, attributes.extensions);
      break;
    case OID.challengePassword:
      attributes.challengePassword = readChallenge(values);
      break;
    case OID.changeSubjectName:
      attributes.changeSubjectName = readChangeSubjectName(values);
      break;
    case OID.statementOfPossession:
      attributes.possession = readPossessionStatement(values);
      break;
    case OID.cmcPopLinkWitnessV2:
      attributes.popLinkWitness = values.element();
      break;
    default:
      return false;
  }
  values.finish();
  return true;
}

export function requestedSan(reader: DerReader, extensions: Extension[]): GeneralName[] | undefined {
  const extension = extensions.find(({ oid }) => oid === OID.subjectAltName);
  if (extension === undefined) return undefined;
  walkDer(extension.value, 'subjectAltName', CSR_LIMITS);
  const san = readSubjectAltName(extension.value);
  checkSan(reader, san);
  return san;
}

function checkSan(reader: DerReader, san: GeneralName[]): void {
  for (const name of san) {
    if ('value' in name && typeof name.value === 'string') checkText(reader, name.value, 'subjectAltName');
    if (name.type === 'directory') readSubject(reader, name.der);
  }
}

function readChallenge(values: DerReader): string {
  const size = values.peekElement().length;
  const text = values.text();
  if (text === '') values.fail('has an empty challengePassword');
  if (size > MAX_CHALLENGE_OCTETS + 3 || Buffer.byteLength(text) > MAX_CHALLENGE_OCTETS) {
    values.fail(`has a challengePassword of more than ${MAX_CHALLENGE_OCTETS} octets`);
  }
  return text;
}

/**
 * RFC 6402 2.8 gives both members the same tag; erratum 3943 puts `[1]` on subjectAlt. Clients of both kinds are understood: a Name
 * begins with a SET (or is empty), GeneralNames with a context tag.
 */
function readChangeSubjectName(values: DerReader): NonNullable<CertificationRequest['changeSubjectName']> {
  const change = values.sequence();
  let subjectDer: Buffer | undefined;
  let san: GeneralName[] | undefined;
  if (change.peekTag() === TAG.sequence) {
    const element = change.peekElement();
    const content = DerReader.openSequence(element, 'changeSubjectName', CSR_LIMITS);
    if (content.done || content.peekTag() === TAG.set) {
      subjectDer = change.element();
      readSubject(change, subjectDer);
    }
  }
  if (change.peekTag() === TAG.sequence) san = readGeneralNames(change.sequence());
  else if (change.peekTag() === contextConstructedTag(1)) san = readTaggedNames(change);
  change.finish();
  if (subjectDer === undefined && san === undefined) change.fail('has an empty ChangeSubjectName');
  if (san !== undefined) checkSan(change, san);
  return { subjectDer, san };
}

function readTaggedNames(change: DerReader): GeneralName[] {
  const tagged = change.enter(contextConstructedTag(1));
  if (tagged.peekTag() !== TAG.sequence) return readGeneralNames(tagged);
  const names = readGeneralNames(tagged.sequence());
  tagged.finish();
  return names;
}
