import { hash, type KeyObject } from 'node:crypto';
import {
  contentInfo,
  der,
  encodeAttribute,
  encodeSignedData,
  OID,
  readCertificate,
  readPublicKey,
  signatureAlgorithm,
  signBytes,
  type SignatureDigest,
} from '#pki';
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

/** Signed by the key that is asked for, which has no certificate yet: named by its identifier (RFC 5272 section 3.2.1.3.3). */
export function signByNewKey(pkiData: Buffer, key: { spki: Buffer; privateKey: KeyObject }): Buffer {
  const { keyId, keyType } = readPublicKey(key.spki);
  const digest = signatureAlgorithm(keyType).digest ?? 'sha512';
  const digestAlgorithm = der.sequence(der.oid(OID[digest]));
  const attributes = [
    encodeAttribute(OID.contentType, der.oid(OID.pkiData)),
    encodeAttribute(OID.messageDigest, der.octetString(hash(digest, pkiData, 'buffer'))),
  ].sort(Buffer.compare);
  const signerInfo = der.sequence(
    der.integer(3),
    der.primitive(0, keyId),
    digestAlgorithm,
    der.constructed(0, ...attributes),
    signatureAlgorithm(keyType).der,
    der.octetString(signBytes(keyType, key.privateKey, der.setOf(...attributes))),
  );
  return contentInfo(
    OID.signedData,
    der.sequence(
      der.integer(3),
      der.setOf(digestAlgorithm),
      der.sequence(der.oid(OID.pkiData), der.constructed(0, der.octetString(pkiData))),
      der.setOf(signerInfo),
    ),
  );
}
