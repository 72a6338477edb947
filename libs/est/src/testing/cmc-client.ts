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
import { identityWitness, popLinkWitness } from '../cmc/witness.js';

/** A full request as a client builds it (RFC 5272 section 3.2.1), for tests. */
export interface FullRequest {
  requests?: Buffer[];
  controls?: { id: number; type: string; values: Buffer[] }[];
  /** TaggedContentInfo. */
  nested?: Buffer[];
}

export const control = (id: number, type: string, ...values: Buffer[]) => ({ id, type, values });
export const taggedPkcs10 = (id: number, csr: Buffer): Buffer => der.constructed(0, der.integer(id), csr);

export function encodePkiData({ requests = [], controls = [], nested = [] }: FullRequest): Buffer {
  return der.sequence(
    der.sequence(
      ...controls.map(({ id, type, values }) => der.sequence(der.integer(id), der.oid(type), der.setOf(...values))),
    ),
    der.sequence(...requests),
    der.sequence(...nested),
    der.sequence(),
  );
}

/** A CertReqMsg (RFC 4211) with this CertTemplate; `prove` signs the CertRequest, and without it there is no proof. */
export function crmfRequest(
  id: number,
  template: { subject: Buffer; spki: Buffer; extensions?: Buffer[]; controls?: Buffer[] },
  prove?: { algorithm: Buffer; sign: (request: Buffer) => Buffer },
): Buffer {
  const { subject, extensions, controls } = template;
  const spki = Buffer.from(template.spki);
  spki[0] = 0xa6;
  const request = der.sequence(
    der.integer(id),
    der.sequence(der.constructed(5, subject), spki, ...(extensions ? [der.constructed(9, ...extensions)] : [])),
    ...(controls ? [der.sequence(...controls)] : []),
  );
  const proof = prove
    ? [der.constructed(1, prove.algorithm, der.bitString(prove.sign(request)))]
    : [der.primitive(0, Buffer.alloc(0))];
  return der.constructed(1, request, ...proof);
}

/** The value of popLinkWitnessV2 by SHA-256, for the attributes of PKCS#10 or the controls of CRMF. */
export const popLink = (secret: string, random: Buffer): Buffer =>
  der.sequence(
    der.sequence(der.oid(OID.sha256)),
    der.sequence(der.oid(OID.hmacWithSha256)),
    der.octetString(popLinkWitness({ hash: 'sha256', mac: 'sha256' }, secret, random)),
  );

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

/** One of each control that is read and that `encodePkiData` is not told otherwise, for mutants; ids from `first`. */
export const otherControls = (first: number): { id: number; type: string; values: Buffer[] }[] =>
  (
    [
      [OID.cmcDataReturn, der.octetString(Buffer.from('state'))],
      [OID.cmcPopLinkRandom, der.octetString(Buffer.alloc(64))],
      [OID.cmcQueryPending, der.octetString(Buffer.from('00000000-0000-7000-8000-000000000000'))],
      [OID.cmcConfirmCertAcceptance, der.sequence(der.sequence(), der.integer(5))],
      [OID.cmcLraPopWitness, der.sequence(der.integer(0), der.sequence(der.integer(1)))],
      [OID.cmcRaIdentityWitness, der.sequence(der.integer(1))],
      [OID.cmcControlProcessed, der.sequence(der.sequence(der.integer(1), der.sequence(der.integer(2))))],
    ] as const
  ).map(([type, value], at) => control(first + at, type, value));
