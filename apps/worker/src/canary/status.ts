import {
  der,
  makeCertId,
  OID,
  readCertificate,
  readCrl,
  readOcspResponse,
  verifyBytes,
  verifyCrl,
  type SubjectPublicKey,
} from '#pki';
import type { CanaryClient } from './client.js';
import { expectThat } from './channels.js';

/** Who issued the certificate, by what this instance itself knows of it. */
export interface CanaryIssuer {
  id: string;
  subjectDer: Buffer;
  publicKey: SubjectPublicKey;
}

/** What OCSP says of the certificate; both signatures, of the answer and of its signer's certificate, are checked. */
export async function askOcsp(client: CanaryClient, issuer: CanaryIssuer, serial: string): Promise<string> {
  const certId = makeCertId('sha256', issuer.subjectDer, issuer.publicKey, serial);
  const request = der.sequence(der.sequence(der.sequence(der.sequence(certId.der))));
  const answer = readOcspResponse(await client.ocsp(request));
  expectThat(answer.status === 'successful', `the responder says ${answer.status}`);
  const [signer] = answer.certificates;
  const [single] = answer.responses;
  expectThat(signer !== undefined && single !== undefined, 'the answer names no signer or no certificate');
  const delegate = readCertificate(signer);
  const { keyObject } = issuer.publicKey;
  expectThat(
    verifyBytes(delegate.signatureAlgorithmDer, keyObject, delegate.tbs, delegate.signature) &&
      delegate.eku?.includes(OID.ocspSigning) === true,
    'the signer of the answer may not sign for the issuer',
  );
  expectThat(
    verifyBytes(answer.signatureAlgorithmDer, delegate.publicKey.keyObject, answer.data, answer.signature),
    'the signature of the answer is wrong',
  );
  expectThat(single.certId.der.equals(certId.der), 'the answer is about another certificate');
  return single.status.status;
}

/** Whether the CRL that the certificate names lists it; its signature is checked. */
export async function isListed(
  client: CanaryClient,
  issuer: CanaryIssuer,
  shard: number,
  serial: string,
): Promise<boolean> {
  const crl = readCrl(await client.crl(issuer.id, shard));
  expectThat(verifyCrl(crl, issuer.publicKey), 'the signature of the CRL is wrong');
  return crl.find(serial) !== undefined;
}
