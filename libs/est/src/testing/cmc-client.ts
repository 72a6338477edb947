import type { KeyObject } from 'node:crypto';
import { contentInfo, der, encodeSignedData, OID, readCertificate, type SignatureDigest } from '#pki';
import { identityWitness } from '../cmc/controls.js';

/** A full request as a client builds it (RFC 5272 section 3.2.1), for tests. */
export interface FullRequest {
  requests?: Buffer[];
  controls?: { id: number; type: string; values: Buffer[] }[];
}

export const control = (id: number, type: string, ...values: Buffer[]) => ({ id, type, values });
export const taggedPkcs10 = (id: number, csr: Buffer): Buffer => der.constructed(0, der.integer(id), csr);

export function encodePkiData({ requests = [], controls = [] }: FullRequest): Buffer {
  return der.sequence(
    der.sequence(
      ...controls.map(({ id, type, values }) => der.sequence(der.integer(id), der.oid(type), der.setOf(...values))),
    ),
    der.sequence(...requests),
    der.sequence(),
    der.sequence(),
  );
}

/** identityProofV2 by SHA-256, over the requests as `encodePkiData` writes them. */
export function identityProof(
  id: number,
  secret: string,
  identification: string | undefined,
  requests: Buffer[],
  hash: SignatureDigest = 'sha256',
): { id: number; type: string; values: Buffer[] } {
  const witness = identityWitness({ hash, mac: 'sha256' }, secret, identification, der.sequence(...requests));
  const value = der.sequence(
    der.sequence(der.oid(OID[hash])),
    der.sequence(der.oid(OID.hmacWithSha256)),
    der.octetString(witness),
  );
  return control(id, OID.cmcIdentityProofV2, value);
}

/** The ContentInfo, signed with the key of a certificate. */
export function signFullRequest(
  pkiData: Buffer,
  signer: { certificate: Buffer; privateKey: KeyObject },
  signingTime: Date,
): Buffer {
  const certificate = readCertificate(signer.certificate);
  return contentInfo(
    OID.signedData,
    encodeSignedData({
      contentType: OID.pkiData,
      content: pkiData,
      signer: { certificate, privateKey: signer.privateKey },
      signingTime,
    }),
  );
}
