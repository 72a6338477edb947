import { AuthorityError } from '#kernel';
import { der, DerReader, encodeExtension, encodeName, OID, type Extension } from '#pki';

/** AttrOrOID (RFC 8951 section 4), in the forms that RFC 9908 gives a meaning. */
export type CsrAttribute =
  /** A signature or hash algorithm, or an attribute that the client is to fill in. */
  | { kind: 'oid'; oid: string }
  /** What key is wanted: its algorithm, and of it nothing, a curve, or a modulus size. */
  | { kind: 'key'; algorithm: string; curve?: string; modulusBits?: number }
  /** Extensions to be put into the request as they stand. */
  | { kind: 'extensions'; extensions: Extension[] }
  | { kind: 'template'; template: RequestTemplate }
  /** Any other attribute; `values` are encoded elements. */
  | { kind: 'other'; type: string; values: Buffer[] };

/** CertificationRequestInfoTemplate (RFC 9908 section 3.4): what is absent is the client's to choose. */
export interface RequestTemplate {
  /** Undefined: the subject is not constrained. An attribute without a value is filled in by the client. */
  subject: { type: string; value: string | undefined }[][] | undefined;
  key: KeyTemplate | undefined;
  /** One without a value is filled in by the client. */
  extensions: { oid: string; critical: boolean; value: Buffer | undefined }[];
  challengePassword: boolean;
}

export interface KeyTemplate {
  /** DER of the AlgorithmIdentifier. */
  algorithm: Buffer;
  /** Only of RSA: the size is told by a placeholder key (E129). */
  modulusBits: number | undefined;
}

/**
 * CsrAttrs (RFC 8951 appendix A), in the given order. Throws `invalid` for a list that RFC 9908 section 3.2 forbids: more than one
 * extensionRequest, template or demand of a key.
 */
export function encodeCsrAttributes(attributes: readonly CsrAttribute[]): Buffer {
  for (const kind of ['extensions', 'template', 'key'] as const) {
    if (attributes.filter((one) => one.kind === kind).length > 1) {
      throw new AuthorityError('invalid', `CSR attributes hold at most one of the kind ${kind}`);
    }
  }
  return der.sequence(...attributes.map(encodeOne));
}

function encodeOne(attribute: CsrAttribute): Buffer {
  switch (attribute.kind) {
    case 'oid':
      return der.oid(attribute.oid);
    case 'key':
      return encodeAttribute(attribute.algorithm, keyValues(attribute));
    case 'extensions':
      return encodeAttribute(OID.extensionRequest, [der.sequence(...attribute.extensions.map(encodeExtension))]);
    case 'template':
      return encodeAttribute(OID.certificationRequestInfoTemplate, [encodeTemplate(attribute.template)]);
    case 'other':
      return encodeAttribute(attribute.type, attribute.values);
  }
}

const encodeAttribute = (type: string, values: Buffer[]): Buffer => der.sequence(der.oid(type), der.setOf(...values));

function keyValues({ curve, modulusBits }: { curve?: string; modulusBits?: number }): Buffer[] {
  if (curve !== undefined) return [der.oid(curve)];
  return modulusBits === undefined ? [] : [der.integer(modulusBits)];
}

function encodeTemplate({ subject, key, extensions, challengePassword }: RequestTemplate): Buffer {
  const attributes = challengePassword ? [encodeAttribute(OID.challengePassword, [])] : [];
  if (extensions.length > 0) attributes.push(encodeWantedExtensions(extensions));
  return der.sequence(
    der.integer(0),
    ...(subject === undefined ? [] : [encodeSubjectTemplate(subject)]),
    ...(key === undefined ? [] : [encodeKeyTemplate(key)]),
    der.constructed(1, ...attributes.sort(Buffer.compare)),
  );
}

/** E128: with every value there it is an extensionRequest, else the template of one; never both. */
function encodeWantedExtensions(extensions: RequestTemplate['extensions']): Buffer {
  const whole = extensions.flatMap(({ value, ...rest }) => (value === undefined ? [] : [{ ...rest, value }]));
  return whole.length === extensions.length
    ? encodeAttribute(OID.extensionRequest, [der.sequence(...whole.map(encodeExtension))])
    : encodeAttribute(OID.extensionRequestTemplate, [der.sequence(...extensions.map(encodeExtensionTemplate))]);
}

function encodeExtensionTemplate({ oid, critical, value }: RequestTemplate['extensions'][number]): Buffer {
  return der.sequence(
    der.oid(oid),
    ...(critical ? [der.boolean(true)] : []),
    ...(value === undefined ? [] : [der.octetString(value)]),
  );
}

function encodeSubjectTemplate(subject: NonNullable<RequestTemplate['subject']>): Buffer {
  const rdns = subject.map((rdn) =>
    der.setOf(
      ...rdn.map(({ type, value }) => (value === undefined ? der.sequence(der.oid(type)) : encodeValued(type, value))),
    ),
  );
  return der.sequence(...rdns);
}

/** The AttributeTypeAndValue inside a name of that one attribute. */
function encodeValued(type: string, value: string): Buffer {
  const name = DerReader.openSequence(encodeName([[{ type, value }]]), 'name');
  return name.set().element();
}

/** `[0]` in place of the SEQUENCE of SubjectPublicKeyInfo; a key stands there only to tell its size. */
function encodeKeyTemplate({ algorithm, modulusBits }: KeyTemplate): Buffer {
  if (modulusBits === undefined) return der.constructed(0, algorithm);
  const modulus = Buffer.alloc(modulusBits / 8);
  modulus[0] = 0x80;
  const placeholder = der.sequence(der.integer(modulus), der.integer(65_537));
  return der.constructed(0, algorithm, der.bitString(placeholder));
}
