import { AuthorityError } from '#kernel';
import { type Certificate, readCertificate } from './certificate.js';
import type { DerReader } from './der/read.js';
import { der } from './der/write.js';
import { isKemKey, type SubjectPublicKey } from './public-key.js';

/** RFC 9883 section 3: by which certificate's key a request is signed whose own key cannot sign. */
export interface PossessionStatement {
  issuerDer: Buffer;
  /** Lower-case hex of the INTEGER's content. */
  serial: string;
  /** DER, where the request carries it. */
  certificate: Buffer | undefined;
}

export function encodePossessionStatement(
  signer: Pick<Certificate, 'der' | 'issuerDer' | 'serial'>,
  carried: boolean,
): Buffer {
  const name = der.sequence(signer.issuerDer, der.tagged(0x02, Buffer.from(signer.serial, 'hex')));
  return der.sequence(name, ...(carried ? [signer.der] : []));
}

/** The one value of the attribute; a certificate that it carries is the one that it names. */
export function readPossessionStatement(values: DerReader): PossessionStatement {
  const statement = values.sequence();
  const name = statement.sequence();
  const issuerDer = name.element();
  const serial = name.integer().toString('hex');
  name.finish();
  const certificate = statement.done ? undefined : statement.element();
  statement.finish();
  if (certificate !== undefined) {
    const carried = readCertificate(certificate);
    if (carried.serial !== serial || !carried.issuerDer.equals(issuerDer)) {
      values.fail('carries another certificate than its statement of possession names');
    }
  }
  return { issuerDer, serial, certificate };
}

const refused = (detail: string): AuthorityError => new AuthorityError('invalid', detail, { code: 'possession' });

/**
 * The key that must have signed the request: its own, or of an ML-KEM key that of the signer, which the statement must name (P54). That
 * the signer is good, and that of whoever asks, is for the caller to have found out: RFC 9883 section 4 wants its path validated. Throws
 * AuthorityError 'invalid' (code 'possession'). A key that can sign never hides behind a statement (RFC 9883 section 6).
 */
export function provingKey(
  publicKey: SubjectPublicKey,
  statement: PossessionStatement | undefined,
  signerOf: () => Certificate | undefined,
): SubjectPublicKey {
  if (!isKemKey(publicKey.keyType)) {
    if (statement === undefined) return publicKey;
    throw refused('a key that can sign proves itself: leave the statement of possession out and sign with that key');
  }
  if (statement === undefined) {
    throw refused(
      'an ML-KEM key cannot sign: add a statement of possession (RFC 9883) and sign with the key of the certificate it names',
    );
  }
  const signer = signerOf();
  if (signer === undefined) {
    throw refused(
      're-enroll with the certificate that the statement of possession names: it must be that of the connection',
    );
  }
  const isNamed = statement.serial === signer.serial && statement.issuerDer.equals(signer.issuerDer);
  if (!isNamed || statement.certificate?.equals(signer.der) === false) {
    throw refused('the statement of possession names another certificate than that of the connection; name that one');
  }
  return signer.publicKey;
}
