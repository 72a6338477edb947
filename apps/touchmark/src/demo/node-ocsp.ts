import { randomBytes, verify, X509Certificate } from 'node:crypto';
import { contextConstructedTag, der, makeCertId, readCertificate, readOcspResponse, signatureDigest } from '#pki';
import type { CaCertificates, RevocationFinding } from './examiner.js';
import { expectThat } from './narrator.js';
import { send } from './send.js';

const NONCE = '1.3.6.1.5.5.7.48.1.2';
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';

/**
 * RFC 6960 with what Node has: it verifies both signatures, of the answer and of the responder's certificate. Node reads no
 * OCSP, so that request and answer pass through our own DER reader and writer.
 */
export async function askOcspWithNode(
  certificate: string,
  ca: CaCertificates,
  url: string,
): Promise<RevocationFinding> {
  const issuing = new X509Certificate(ca.issuing);
  const { subjectDer, publicKey } = readCertificate(issuing.raw);
  const serial = new X509Certificate(certificate).serialNumber.toLowerCase();
  const certId = makeCertId('sha1', subjectDer, publicKey, serial);
  const nonce = randomBytes(32);
  const extension = der.sequence(der.oid(NONCE), der.octetString(der.octetString(nonce)));
  const list = der.sequence(der.sequence(certId.der));
  const extensions = der.tagged(contextConstructedTag(2), der.sequence(extension));
  const headers = { 'content-type': 'application/ocsp-request' };
  const body = der.sequence(der.sequence(list, extensions));
  const answer = readOcspResponse((await send(url, { method: 'POST', headers, body })).body);
  expectThat(answer.status === 'successful', `the responder says ${answer.status}`);
  expectThat(answer.nonce?.equals(nonce) ?? false, 'the answer carries another nonce');
  const [signer, single] = [answer.certificates[0], answer.responses[0]];
  expectThat(signer !== undefined && single !== undefined, 'the answer names no signer or no certificate');
  const delegate = new X509Certificate(signer);
  expectThat(delegate.verify(issuing.publicKey), 'the responder is not certified by the issuing CA');
  expectThat(delegate.keyUsage?.includes(OCSP_SIGNING) ?? false, 'the responder may not sign OCSP answers');
  const digest = signatureDigest(answer.signatureAlgorithmDer) ?? null;
  expectThat(verify(digest, answer.data, delegate.publicKey, answer.signature), 'the signature of the answer is wrong');
  expectThat(single.certId.der.equals(certId.der), 'the answer is about another certificate');
  const { status } = single;
  if (status.status === 'good') return { status: 'good', detail: 'good' };
  expectThat(status.status === 'revoked', `the responder says ${status.status}`);
  return { status: 'revoked', detail: status.reason ?? 'no reason' };
}
