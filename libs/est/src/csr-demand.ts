import {
  encodeExtendedKeyUsage,
  encodeGeneralNames,
  encodeKeyUsage,
  isKemKey,
  keyAlgorithm,
  OID,
  signatureAlgorithm,
  type GeneralName,
  type KeyType,
  type KeyUsage,
  type Name,
} from '#pki';
import { encodeCsrAttributes, type CsrAttribute, type RequestTemplate } from './csr-attributes.js';

/** What a profile and a label ask of a request, and whom it is for where that is known. */
export interface CsrDemand {
  /** In the order of preference; a key is demanded only where they leave no choice. */
  keyTypes: readonly KeyType[];
  keyUsage: readonly KeyUsage[];
  /** OIDs. */
  eku: readonly string[];
  san: 'required' | 'optional' | 'forbidden';
  /** The request must be linked to its connection (E67). */
  binding: boolean;
  /** Of the client that has authenticated: the names its request is to have (E121). */
  names: { subject: Name; san: readonly GeneralName[] } | undefined;
}

/**
 * DER of the answer to csrattrs: the list of RFC 8951 for clients that know no better, and the template of RFC 9908, which alone
 * can say of a name that the client fills it in. Undefined when there is nothing to ask for (E120).
 */
export function csrAttributesFor(demand: CsrDemand): Buffer | undefined {
  const list = [...legacyList(demand)];
  const template = templateFor(demand);
  if (template !== undefined) list.push({ kind: 'template', template });
  return list.length === 0 ? undefined : encodeCsrAttributes(list);
}

function* legacyList({ keyTypes, binding, names }: CsrDemand): Iterable<CsrAttribute> {
  if (binding) yield { kind: 'oid', oid: OID.challengePassword };
  const [only] = keyTypes;
  const families = new Set(keyTypes.map(familyOf));
  if (keyTypes.length === 1 && only !== undefined) {
    yield keyDemand(only);
    // E125: what is insisted upon must be listed; a key that only receives signs nothing.
    if (!isKemKey(only)) yield { kind: 'oid', oid: signatureAlgorithm(only).oid };
  } else if (families.size === 1 && (families.has('ec') || families.has('rsa'))) {
    yield { kind: 'key', algorithm: families.has('ec') ? OID.ecPublicKey : OID.rsaEncryption };
  }
  if (names !== undefined && names.san.length > 0) {
    yield {
      kind: 'extensions',
      extensions: [
        { oid: OID.subjectAltName, critical: names.subject.length === 0, value: encodeGeneralNames(names.san) },
      ],
    };
  }
}

function keyDemand(keyType: KeyType): CsrAttribute {
  const { oid, curve } = keyAlgorithm(keyType);
  const bits = rsaBits(keyType);
  if (curve !== undefined) return { kind: 'key', algorithm: oid, curve };
  return bits === undefined ? { kind: 'key', algorithm: oid } : { kind: 'key', algorithm: oid, modulusBits: bits };
}

/** Undefined where nothing is constrained. */
function templateFor(demand: CsrDemand): RequestTemplate | undefined {
  const { keyTypes, names, binding } = demand;
  const [only] = keyTypes;
  const key = keyTypes.length === 1 && only !== undefined ? keyTemplate(only) : undefined;
  const extensions = wantedExtensions(demand);
  const subject = names?.subject.map((rdn) => rdn.map(({ type, value }) => ({ type, value })));
  if (key === undefined && extensions.length === 0 && subject === undefined && !binding) return undefined;
  return { subject, key, extensions, challengePassword: binding };
}

function keyTemplate(keyType: KeyType): RequestTemplate['key'] {
  return { algorithm: keyAlgorithm(keyType).der, modulusBits: rsaBits(keyType) };
}

function wantedExtensions({ keyUsage, eku, san, names }: CsrDemand): RequestTemplate['extensions'] {
  const wanted: RequestTemplate['extensions'] = [];
  if (keyUsage.length > 0) wanted.push({ oid: OID.keyUsage, critical: true, value: encodeKeyUsage(keyUsage) });
  if (eku.length > 0) wanted.push({ oid: OID.extKeyUsage, critical: false, value: encodeExtendedKeyUsage(eku) });
  if (san === 'required' || (names?.san.length ?? 0) > 0) {
    const value = names === undefined ? undefined : encodeGeneralNames(names.san);
    wanted.push({ oid: OID.subjectAltName, critical: names?.subject.length === 0, value });
  }
  return wanted;
}

const familyOf = (keyType: KeyType): string => keyType.split('-', 1)[0] ?? keyType;

function rsaBits(keyType: KeyType): number | undefined {
  const [, bits] = /^rsa-(\d{4})$/.exec(keyType) ?? [];
  return bits === undefined ? undefined : Number(bits);
}
