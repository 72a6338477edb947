import { AuthorityError } from '#kernel';
import {
  crlRevocation,
  lintCertificate,
  readCertificate,
  readCrl,
  validatePath,
  verifyBytes,
  verifyCrl,
  type Certificate,
  type CertificateList,
  type SubjectPublicKey,
} from '#pki';
import { kindOf } from '#status';
import type { AuthorityContext } from './context.js';

export interface ImportedList {
  der: Buffer;
  list: CertificateList;
  number: bigint;
}

/** A CA whose key is elsewhere, with its CRL. */
export interface ExternalCa {
  certificate: Certificate;
  crl: ImportedList;
}

const LONGEST_CHAIN = 5;

const invalid = (member: string, text: string): AuthorityError =>
  new AuthorityError('invalid', `${member}: ${text}`, { member });

/**
 * Id of a CA whose key is elsewhere, from that key (UUID of version 8): whoever holds the key, without any connection to this
 * instance, knows under which URLs its CRL and its certificate are published.
 */
export function externalIssuerId(key: Pick<SubjectPublicKey, 'sha256'>): string {
  const bytes = Buffer.from(key.sha256.subarray(0, 16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The CAs above an imported certificate, the root last, each with its CRL. Throws `invalid`, with the member at fault. */
export function readExternalChain(
  a: Pick<AuthorityContext, 'clock'>,
  chain: readonly string[],
  crls: readonly string[],
): ExternalCa[] {
  if (chain.length === 0 || chain.length > LONGEST_CHAIN) {
    throw invalid('chain', `one to ${LONGEST_CHAIN} certificates, the root last`);
  }
  const certificates = chain.map((one) => readCertificate(Buffer.from(one, 'base64')));
  const root = certificates.at(-1)!;
  const { publicKey, signatureAlgorithmDer, tbs, signature } = root;
  if (kindOf(root) !== 'root' || !verifyBytes(signatureAlgorithmDer, publicKey.keyObject, tbs, signature)) {
    throw invalid('chain', 'the last certificate is no self-signed root');
  }
  const lists = crls.map((one) => Buffer.from(one, 'base64'));
  return certificates.map((certificate) => {
    const der = lists.find((one) => isSignedBy(one, certificate));
    if (der === undefined) throw invalid('crls', 'there is none that each CA of the chain signed');
    return { certificate, crl: checkImportedCrl(a, der, certificate) };
  });
}

/** Whether a CRL is that of this CA. Throws `malformed` for what is none. */
export function isSignedBy(der: Buffer, issuer: Pick<Certificate, 'subjectDer' | 'publicKey'>): boolean {
  const crl = readCrl(der);
  return crl.issuerDer.equals(issuer.subjectDer) && verifyCrl(crl, issuer.publicKey);
}

/** A whole CRL of this CA that counts now: signature, number, dates, no critical extension that is not known here. */
export function checkImportedCrl(
  a: Pick<AuthorityContext, 'clock'>,
  der: Buffer,
  issuer: Pick<Certificate, 'subjectDer' | 'publicKey'>,
): ImportedList {
  const list = readCrl(der);
  const now = a.clock.now();
  if (!list.issuerDer.equals(issuer.subjectDer) || !verifyCrl(list, issuer.publicKey)) {
    throw invalid('crl', 'it was not signed by this CA');
  }
  if (list.unusable !== undefined) throw invalid('crl', list.unusable);
  const { number, nextUpdate, thisUpdate } = list;
  if (list.deltaBase !== undefined || list.issuingDistributionPoint !== undefined) {
    throw invalid('crl', 'it must cover everything that this CA issued');
  }
  if (number === undefined || number > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid('crl', 'it has no usable number');
  if (thisUpdate > now) throw invalid('crl', 'its thisUpdate is in the future');
  if (nextUpdate === undefined || nextUpdate <= now) throw invalid('crl', 'its nextUpdate has passed');
  return { der, list, number };
}

/**
 * The certificate leads to the root of the chain, is revoked by none of the CRLs, and no rule of RFC 5280 stands against it;
 * it ends with its issuer at the latest. Throws `invalid`.
 */
export function requireGoodPath(
  a: Pick<AuthorityContext, 'clock'>,
  certificate: Certificate,
  chain: readonly ExternalCa[],
): void {
  const [above] = chain;
  const root = chain.at(-1)!.certificate;
  const at = a.clock.now();
  const result = validatePath({
    leaf: certificate,
    intermediates: chain.slice(0, -1).map((one) => one.certificate),
    anchors: [{ subjectDer: root.subjectDer, publicKey: root.publicKey, certificate: root, set: 'imported' }],
    at,
    revocation: crlRevocation(
      chain.map(({ crl }) => crl.list),
      at,
    ),
  });
  if (!result.ok) throw invalid('certificate', result.detail);
  const { publicKey, notAfter, subjectDer } = above!.certificate;
  if (certificate.notAfter > notAfter) throw invalid('certificate', 'it ends after whoever signed it');
  const findings = lintCertificate(certificate.der, {
    selfSigned: false,
    issuer: { subjectDer, keyId: publicKey.keyId, keyType: publicKey.keyType, notAfter },
    ca: true,
    maxValiditySeconds: Number.MAX_SAFE_INTEGER,
    keyTypes: [certificate.publicKey.keyType],
    keyUsage: ['digitalSignature', 'keyCertSign', 'cRLSign'],
    eku: [],
    san: 'optional',
    revocation: certificate.crlUris.length === 0 ? 'none' : certificate.ocspUris.length === 0 ? 'crl' : 'crl+ocsp',
  });
  const errors = findings.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw invalid('certificate', `not so: ${errors.map(({ text }) => text).join('; ')}`);
  const { keyUsage } = certificate;
  if (!keyUsage?.includes('keyCertSign') || !keyUsage.includes('cRLSign')) {
    throw invalid('certificate', 'it must allow to sign certificates and CRLs');
  }
}
