import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { DerReader } from './der/read.js';
import { der } from './der/write.js';
import { type LintFinding, type LintRules, lintWhole } from './lint.js';
import type { Certificate } from './certificate.js';
import { isKemKey, type KeyType, type SubjectPublicKey } from './public-key.js';
import { signatureAlgorithm, signBytes, verifyBytes } from './signature.js';
import { buildTbs, type CertificateTemplate } from './template.js';

/**
 * A TBSCertificate that passed the linter; there is no other way to make one than `prepareCertificate` and `restoreCertificate`.
 * `consume` hands out the bytes to sign, once.
 */
export interface PreparedCertificate {
  /** A copy: what is signed cannot be changed from outside. */
  readonly tbs: Buffer;
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly subjectDer: Buffer;
  /** The to-be-signed bytes. Throws AuthorityError 'internal' (code 'consumed') on the second call. */
  consume(): Buffer;
}

class Prepared implements PreparedCertificate {
  readonly #tbs: Buffer;
  #consumed = false;
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly subjectDer: Buffer;

  constructor(tbs: Buffer, certificate: Certificate) {
    this.#tbs = Buffer.from(tbs);
    this.serial = certificate.serial;
    this.notBefore = certificate.notBefore;
    this.notAfter = certificate.notAfter;
    this.subjectDer = Buffer.from(certificate.subjectDer);
  }

  get tbs(): Buffer {
    return Buffer.from(this.#tbs);
  }

  consume(): Buffer {
    if (this.#consumed) {
      throw new AuthorityError('internal', 'a prepared certificate was to be signed twice', { code: 'consumed' });
    }
    this.#consumed = true;
    return Buffer.from(this.#tbs);
  }
}

/**
 * Builds the TBSCertificate of a template, gives it a signature of the issuer's algorithm that stands for nothing, and lints the whole (X29).
 * Any finding, of whatever severity, throws AuthorityError 'internal' (code 'lint'); values that cannot be encoded throw 'invalid'.
 */
export function prepareCertificate(template: CertificateTemplate, rules: LintRules): PreparedCertificate {
  return lintTbs(buildTbs(template), template.issuer.keyType, rules, template.publicKey);
}

/** The same token for bytes that were prepared before and stored: they are linted again. Same errors; 'malformed' for broken bytes. */
export function restoreCertificate(tbs: Buffer, rules: LintRules): PreparedCertificate {
  const issuerType = rules.issuer?.keyType ?? readTbsKeyType(tbs, rules);
  return lintTbs(tbs, issuerType, rules);
}

/** A self-signed certificate names no issuer in its rules: the algorithm in the bytes picks the one of the allowed key types. */
function readTbsKeyType(tbs: Buffer, rules: LintRules): KeyType {
  const algorithm = readTbsAlgorithm(tbs);
  const keyType = rules.keyTypes.find((type) => !isKemKey(type) && signatureAlgorithm(type).der.equals(algorithm));
  if (keyType !== undefined) return keyType;
  throw new AuthorityError('internal', 'the stored bytes name a signature algorithm that no allowed key has', {
    code: 'lint',
  });
}

function readTbsAlgorithm(tbs: Buffer): Buffer {
  const body = DerReader.openSequence(tbs, 'to-be-signed certificate');
  body.optionalContext(0);
  body.integer();
  return body.element();
}

function lintTbs(tbs: Buffer, issuerType: KeyType, rules: LintRules, known?: SubjectPublicKey): PreparedCertificate {
  const whole = joinCertificate(tbs, signatureAlgorithm(issuerType).der, throwawaySignature(issuerType));
  const { certificate, findings } = lintWhole(whole, rules, known);
  if (certificate === undefined || findings.length > 0) throw refusal(findings);
  return new Prepared(tbs, certificate);
}

function refusal(findings: LintFinding[]): AuthorityError {
  const list = findings.map((finding) => `${finding.id}: not so: ${finding.text}`).join('; ');
  return new AuthorityError(
    'internal',
    'the certificate that was to be issued breaks our own rules; nothing was signed',
    {
      code: 'lint',
      cause: new Error(list),
    },
  );
}

function joinCertificate(tbs: Buffer, algorithmDer: Buffer, signature: Buffer): Buffer {
  return der.sequence(tbs, algorithmDer, der.bitString(signature));
}

/**
 * The certificate of a signature that came back from the signer: the TBS as given, byte for byte. Throws AuthorityError 'internal' (code
 * 'badSignature') if the signature does not verify with the issuer's key or the TBS names another algorithm than that key's.
 */
export function assembleCertificate(tbs: Buffer, signature: Buffer, issuerKey: SubjectPublicKey): Buffer {
  const algorithm = signatureAlgorithm(issuerKey.keyType).der;
  if (!readTbsAlgorithm(tbs).equals(algorithm) || !verifyBytes(algorithm, issuerKey.keyObject, tbs, signature)) {
    throw new AuthorityError('internal', 'the signature over the certificate does not verify; it was not released', {
      code: 'badSignature',
    });
  }
  return joinCertificate(tbs, algorithm, signature);
}

/** One per type and process, over no certificate: its only use is to give what is linted a real signature's shape. */
const throwawaySignatures = new Map<KeyType, Buffer>();

function throwawaySignature(keyType: KeyType): Buffer {
  const known = throwawaySignatures.get(keyType);
  if (known !== undefined) return known;
  const signature = signBytes(keyType, generateThrowaway(keyType), Buffer.from('no certificate'));
  throwawaySignatures.set(keyType, signature);
  return signature;
}

function generateThrowaway(keyType: KeyType): KeyObject {
  switch (keyType) {
    case 'ec-p256':
    case 'ec-p384':
    case 'ec-p521':
      return generateKeyPairSync('ec', { namedCurve: keyType.replace('ec-p', 'P-') }).privateKey;
    case 'rsa-2048':
    case 'rsa-3072':
    case 'rsa-4096':
      // One algorithm for every size, and the smallest key takes the shortest time to make.
      return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    case 'ed25519':
      return generateKeyPairSync('ed25519').privateKey;
    case 'ml-dsa-44':
    case 'ml-dsa-65':
    case 'ml-dsa-87':
      return generateKeyPairSync(keyType).privateKey;
    case 'rsa-other':
    case 'ml-kem-512':
    case 'ml-kem-768':
    case 'ml-kem-1024':
    case 'unknown':
      throw new AuthorityError('internal', `no certificate is issued under a key of type ${keyType}`);
  }
}
