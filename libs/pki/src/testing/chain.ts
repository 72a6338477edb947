import { type Certificate, readCertificate } from '../certificate.js';
import {
  encodeAuthorityKeyId,
  encodeBasicConstraints,
  encodeKeyUsage,
  type KeyUsage,
} from '../certificate-extensions.js';
import type { CrlTemplateHead } from '../crl-write.js';
import { assembleCrl, encodeCrlTbs } from '../crl-write.js';
import type { CrlEntry } from '../crl.js';
import { der } from '../der/write.js';
import { encodeExtension, type Extension } from '../extension.js';
import { encodeName, type Name } from '../name.js';
import { OID } from '../oids.js';
import type { TrustAnchor } from '../path.js';
import { signatureAlgorithm, signBytes } from '../signature.js';
import { commonName, generateKey, type KeyPair, NOT_BEFORE, secondsLater } from './issuing.js';

/** A certificate with its key, to build chains that our own profiles would never issue. */
export interface Member {
  keys: KeyPair;
  certificate: Certificate;
}

export interface MemberOptions {
  subject?: Name;
  keys?: KeyPair;
  serial?: string;
  notBefore?: Date;
  notAfter?: Date;
  extensions?: Extension[];
  /** Signature that is put in place of the right one. */
  signature?: Buffer;
}

/** The moment at which the chains of the specs are judged. */
export const AT = secondsLater(NOT_BEFORE, 86_400);

export const extension = (oid: string, value: Buffer, critical = false): Extension => ({ oid, critical, value });

/** What makes a certificate an authority. */
export function authority(pathLen?: number, usage: KeyUsage[] = ['keyCertSign', 'cRLSign']): Extension[] {
  const constraints = pathLen === undefined ? { ca: true } : { ca: true, pathLen };
  return [
    extension(OID.basicConstraints, encodeBasicConstraints(constraints), true),
    extension(OID.keyUsage, encodeKeyUsage(usage), true),
  ];
}

/** Certifies `name` by `issuer` (undefined: self-signed) with an Ed25519 key. */
export function certify(issuer: Member | undefined, name: string, options: MemberOptions = {}): Member {
  const keys = options.keys ?? generateKey('ed25519');
  const subject = options.subject ?? commonName(name);
  const signer = issuer?.keys ?? keys;
  const algorithm = signatureAlgorithm(signer.publicKey.keyType).der;
  const extensions = [
    extension(OID.authorityKeyIdentifier, encodeAuthorityKeyId(signer.publicKey.keyId)),
    extension(OID.subjectKeyIdentifier, der.octetString(keys.publicKey.keyId)),
    ...(options.extensions ?? []),
  ];
  const tbs = der.sequence(
    der.constructed(0, der.integer(2)),
    der.tagged(0x02, Buffer.from(options.serial ?? '0101', 'hex')),
    algorithm,
    issuer?.certificate.subjectDer ?? encodeName(subject),
    der.sequence(
      der.time(options.notBefore ?? NOT_BEFORE),
      der.time(options.notAfter ?? secondsLater(NOT_BEFORE, 30 * 86_400 - 1)),
    ),
    encodeName(subject),
    keys.publicKey.spki,
    der.constructed(3, der.sequence(...extensions.map(encodeExtension))),
  );
  const signature = options.signature ?? signBytes(signer.publicKey.keyType, signer.privateKey, tbs);
  return { keys, certificate: readCertificate(der.sequence(tbs, algorithm, der.bitString(signature))) };
}

export function anchorOf(member: Member, set = 'explicit'): TrustAnchor {
  const { subjectDer, publicKey } = member.certificate;
  return { subjectDer, publicKey, certificate: member.certificate, set };
}

/** DER of a signed CRL, valid around `AT`. */
export function signCrl(
  issuer: Member,
  entries: Iterable<CrlEntry>,
  head: Partial<Omit<CrlTemplateHead, 'issuer'>> = {},
): Buffer {
  const { keyId, keyType } = issuer.keys.publicKey;
  const tbs = encodeCrlTbs({
    issuer: { subjectDer: issuer.certificate.subjectDer, keyId, keyType },
    number: 7n,
    thisUpdate: NOT_BEFORE,
    nextUpdate: secondsLater(NOT_BEFORE, 7 * 86_400),
    distributionPoint: undefined,
    entries,
    ...head,
  });
  return assembleCrl(tbs, signatureAlgorithm(keyType).der, signBytes(keyType, issuer.keys.privateKey, tbs));
}

export function entry(serial: string, options: Partial<CrlEntry> = {}): CrlEntry {
  return { serial, revokedAt: NOT_BEFORE, reason: 'unspecified', invalidityDate: undefined, ...options };
}
