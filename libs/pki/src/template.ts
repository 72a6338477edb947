import { AuthorityError } from '#kernel';
import {
  encodeAuthorityInfoAccess,
  encodeAuthorityKeyId,
  encodeBasicConstraints,
  encodeDistributionPoint,
  encodeExtendedKeyUsage,
  encodeKeyUsage,
  type KeyUsage,
} from './certificate-extensions.js';
import { der } from './der/write.js';
import { encodeExtension, type Extension } from './extension.js';
import { encodeGeneralNames, type GeneralName } from './general-name.js';
import { encodeNameConstraints, type NameConstraintsTemplate } from './name-constraints-write.js';
import { encodeName, type Name } from './name.js';
import { OID } from './oids.js';
import type { KeyType, SubjectPublicKey } from './public-key.js';
import { signatureAlgorithm } from './signature.js';

/** All that a certificate says; nothing else reaches the bytes that are signed. */
export interface CertificateTemplate {
  /** Lower-case hex of the DER content, as `newSerial` gives it. */
  serial: string;
  /** Of a self-signed certificate: its own subject and key. */
  issuer: { subjectDer: Buffer; keyId: Buffer; keyType: KeyType };
  subject: Name;
  publicKey: SubjectPublicKey;
  /** Whole seconds; both ends count (X06). */
  notBefore: Date;
  notAfter: Date;
  basicConstraints?: { ca: true; pathLen?: number };
  /** Of CAs only; critical (X22). Or the value of the extension, of a certificate that this one follows. */
  nameConstraints?: NameConstraintsTemplate | Buffer;
  keyUsage: KeyUsage[];
  /** OIDs. */
  eku?: string[];
  san?: GeneralName[];
  crlUri?: string;
  ocspUri?: string;
  caIssuersUri?: string;
  /** RFC 6960 4.2.2.2.1, for OCSP delegates. */
  ocspNoCheck?: boolean;
  /** RFC 9608 section 2; absent: exactly where an end entity has neither CRL nor OCSP URI. The linter refuses a wrong one (X27). */
  noRevAvail?: boolean;
  /** UUID of the app, written into a private non-critical extension. */
  appId?: string;
}

const VERSION_3 = der.constructed(0, der.integer(2));
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const SERIAL = /^([0-9a-f]{2}){1,20}$/;

/**
 * The TBSCertificate for a template (RFC 5280 4.1.2). Extensions: keyUsage critical, basicConstraints critical in CAs only, SKI and AKI
 * always, SAN critical exactly if the subject is empty (X11), noRevAvail where an end entity has no revocation service at all (X27).
 * Throws AuthorityError 'invalid' for values that cannot be encoded. Nothing here judges policy: that is `prepareCertificate`'s lint.
 */
export function buildTbs(template: CertificateTemplate): Buffer {
  if (!SERIAL.test(template.serial))
    throw new AuthorityError('invalid', 'the serial is not 1 to 20 octets of lower-case hex');
  return der.sequence(
    VERSION_3,
    der.tagged(0x02, Buffer.from(template.serial, 'hex')),
    signatureAlgorithm(template.issuer.keyType).der,
    template.issuer.subjectDer,
    der.sequence(der.time(template.notBefore), der.time(template.notAfter)),
    encodeName(template.subject),
    template.publicKey.spki,
    der.constructed(3, der.sequence(...extensionsOf(template).map(encodeExtension))),
  );
}

function extensionsOf(template: CertificateTemplate): Extension[] {
  const { basicConstraints, eku, san, crlUri, ocspUri, caIssuersUri, appId } = template;
  const extensions: Extension[] = [];
  const add = (oid: string, critical: boolean, value: Buffer): void => void extensions.push({ oid, critical, value });

  if (basicConstraints !== undefined) add(OID.basicConstraints, true, encodeBasicConstraints(basicConstraints));
  add(OID.keyUsage, true, encodeKeyUsage(template.keyUsage));
  if (template.nameConstraints !== undefined) {
    const { nameConstraints } = template;
    add(
      OID.nameConstraints,
      true,
      Buffer.isBuffer(nameConstraints) ? nameConstraints : encodeNameConstraints(nameConstraints),
    );
  }
  if (eku !== undefined) add(OID.extKeyUsage, false, encodeExtendedKeyUsage(eku));
  add(OID.subjectKeyIdentifier, false, der.octetString(template.publicKey.keyId));
  add(OID.authorityKeyIdentifier, false, encodeAuthorityKeyId(template.issuer.keyId));
  if (san !== undefined) add(OID.subjectAltName, template.subject.length === 0, encodeGeneralNames(san));
  if (crlUri !== undefined) add(OID.cRLDistributionPoints, false, encodeDistributionPoint(crlUri));
  if (ocspUri !== undefined || caIssuersUri !== undefined) {
    add(OID.authorityInfoAccess, false, encodeAuthorityInfoAccess({ ocspUri, caIssuersUri }));
  }
  if (template.ocspNoCheck === true) add(OID.ocspNoCheck, false, der.null());
  if (template.noRevAvail ?? isWithoutRevocation(template)) add(OID.noRevAvail, false, der.null());
  if (appId !== undefined) add(OID.touchmarkAppId, false, encodeAppId(appId));
  return extensions;
}

/** A delegate says by ocsp-nocheck what noRevAvail says elsewhere (RFC 9608 section 2 keeps it out of CA certificates). */
function isWithoutRevocation(template: CertificateTemplate): boolean {
  const { basicConstraints, crlUri, ocspUri, ocspNoCheck } = template;
  return basicConstraints === undefined && crlUri === undefined && ocspUri === undefined && ocspNoCheck !== true;
}

function encodeAppId(appId: string): Buffer {
  if (!UUID.test(appId)) throw new AuthorityError('invalid', 'the app id is no lower-case UUID');
  return der.utf8String(appId);
}
