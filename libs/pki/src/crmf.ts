import { AuthorityError } from '#kernel';
import { CSR_LIMITS, readSubject, requestedSan, type CertificationRequest } from './csr.js';
import { DerReader } from './der/read.js';
import { contextConstructedTag, contextTag, TAG } from './der/tags.js';
import { walkDer } from './der/walk.js';
import { type Extension, readExtensions } from './extension.js';
import { checkKeyStrength } from './key-strength.js';
import { OID } from './oids.js';
import { readPublicKey } from './public-key.js';
import { signatureDigest, SUPPORTED_SIGNATURES, verifyBytes } from './signature.js';

/**
 * Reads a CertReqMsg (RFC 4211 section 3) with subject, key and a proof of possession by signature over the CertRequest (section 4.1,
 * without poposkInput), as the PKCS#10 that would say the same. `tag` is that of the element: in a CMC request it is `[1]`.
 * Throws `malformed` (code `badSignature` for a proof that does not verify), `invalid` for weak keys, for algorithms that are not taken,
 * and for other ways of proof (code `popRequired`).
 */
export function readCertReqMsg(message: Buffer, tag: number = TAG.sequence): CertificationRequest {
  walkDer(message, 'certificate request', CSR_LIMITS);
  const outer = DerReader.open(message, 'certificate request', CSR_LIMITS);
  const msg = outer.enter(tag);
  outer.finish();
  const signed = msg.peekElement();
  const request = msg.sequence();
  request.smallInteger();
  const template = readTemplate(request.sequence());
  const popLinkWitness = readWitness(request);
  const proof = readProof(msg);
  const { publicKey } = template;
  checkKeyStrength(publicKey);
  if (signatureDigest(proof.algorithm) === undefined) {
    throw new AuthorityError(
      'invalid',
      `the request is signed with an algorithm that is not accepted; use ${SUPPORTED_SIGNATURES}`,
      { code: 'unsupportedAlgorithm' },
    );
  }
  if (!verifyBytes(proof.algorithm, publicKey.keyObject, signed, proof.signature)) {
    throw new AuthorityError(
      'malformed',
      'the signature of the request does not verify with the key in it; sign it with that key',
      { code: 'badSignature' },
    );
  }
  const without = { challengePassword: undefined, changeSubjectName: undefined, possession: undefined };
  return { der: message, ...without, attributeTypes: [], ...template, popLinkWitness };
}

/** The one control of CRMF that means something here (RFC 5272 section 6.3.1.1). */
function readWitness(request: DerReader): Buffer | undefined {
  let witness: Buffer | undefined;
  const controls = request.done ? undefined : request.sequence();
  while (controls !== undefined && !controls.done) {
    const control = controls.sequence();
    const type = control.oid();
    const value = control.element();
    control.finish();
    if (type !== OID.cmcPopLinkWitnessV2) continue;
    if (witness !== undefined) controls.fail('has a control twice');
    witness = value;
  }
  request.finish();
  return witness;
}

/** The parts of a CertTemplate that a request of ours may hold: subject `[5]`, publicKey `[6]`, extensions `[9]`. */
function readTemplate(
  template: DerReader,
): Pick<CertificationRequest, 'subject' | 'subjectDer' | 'publicKey' | 'extensions' | 'san'> {
  if (template.optionalContextBytes(0) !== undefined) template.fail('names a version');
  const subjectName = template.optionalContext(5);
  if (subjectName === undefined) template.fail('lacks its subject, or has what only an authority may decide');
  const subjectDer = subjectName.element();
  subjectName.finish();
  const subject = readSubject(template, subjectDer);
  if (template.peekTag() !== contextConstructedTag(6)) template.fail('lacks its public key');
  const spki = Buffer.from(template.element());
  spki[0] = TAG.sequence;
  const publicKey = readPublicKey(spki);
  const list = template.optionalContext(9);
  const extensions: Extension[] = list === undefined ? [] : readExtensions(list, true);
  template.finish();
  return { subject, subjectDer, publicKey, extensions, san: requestedSan(template, extensions) };
}

/** POPOSigningKey under `[1]`; possession by decryption is a dialogue that is not offered. */
function readProof(msg: DerReader): { algorithm: Buffer; signature: Buffer } {
  const proof = msg.optionalContext(1);
  if (proof === undefined || proof.peekTag() === contextConstructedTag(0) || proof.peekTag() === contextTag(0)) {
    throw new AuthorityError('invalid', 'a request needs a proof of possession by signature over the CertRequest', {
      code: 'popRequired',
    });
  }
  const algorithm = proof.element();
  const signature = proof.wholeBitString();
  proof.finish();
  // regInfo changes nothing.
  if (!msg.done) msg.skip();
  msg.finish();
  return { algorithm, signature };
}
