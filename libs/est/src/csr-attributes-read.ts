import { DerReader, OID, readExtensions, TAG, type DerLimits } from '#pki';
import type { CsrAttribute, KeyTemplate, RequestTemplate } from './csr-attributes.js';

const LIMITS: DerLimits = { maxBytes: 65_536, maxDepth: 16, maxNodes: 2_048 };
const KEY_ALGORITHMS: ReadonlySet<string> = new Set([OID.rsaEncryption, OID.ecPublicKey]);

/**
 * What a client makes of an answer to csrattrs (RFC 8951 section 4, RFC 9908 section 3). An empty list is legal and asks for
 * nothing. Throws `malformed`; so are two extensionRequests, one with another number of values than one, and a repeated extnID.
 */
export function readCsrAttributes(bytes: Buffer): CsrAttribute[] {
  const list = DerReader.openSequence(bytes, 'CSR attributes', LIMITS);
  const attributes: CsrAttribute[] = [];
  while (!list.done) {
    if (list.peekTag() === TAG.oid) attributes.push({ kind: 'oid', oid: list.oid() });
    else attributes.push(readAttribute(list.sequence()));
  }
  for (const kind of ['extensions', 'template'] as const) {
    if (attributes.filter((one) => one.kind === kind).length > 1) list.fail(`has more than one of the kind ${kind}`);
  }
  return attributes;
}

function readAttribute(attribute: DerReader): CsrAttribute {
  const type = attribute.oid();
  const values = attribute.set();
  attribute.finish();
  if (type === OID.extensionRequest) {
    const extensions = readExtensions(values.sequence(), true);
    values.finish();
    return { kind: 'extensions', extensions };
  }
  if (type === OID.certificationRequestInfoTemplate) {
    const template = readTemplate(values.sequence());
    values.finish();
    return { kind: 'template', template };
  }
  if (KEY_ALGORITHMS.has(type)) return readKeyDemand(type, values);
  const others: Buffer[] = [];
  while (!values.done) others.push(values.element());
  // A key type without parameters is named like any other attribute without a value.
  return others.length === 0 ? { kind: 'key', algorithm: type } : { kind: 'other', type, values: others };
}

function readKeyDemand(algorithm: string, values: DerReader): CsrAttribute {
  if (values.done) return { kind: 'key', algorithm };
  const demand: CsrAttribute =
    algorithm === OID.ecPublicKey
      ? { kind: 'key', algorithm, curve: values.oid() }
      : { kind: 'key', algorithm, modulusBits: values.smallInteger() };
  values.finish();
  return demand;
}

function readTemplate(template: DerReader): RequestTemplate {
  if (template.smallInteger() !== 0) template.fail('has a template of another version than v1');
  const subject = template.peekTag() === TAG.sequence ? readSubject(template.sequence()) : undefined;
  const wantedKey = template.optionalContext(0);
  const key = wantedKey && readKey(wantedKey);
  const attributes = template.optionalContext(1);
  if (attributes === undefined) template.fail('has a template without attributes');
  template.finish();
  return { subject, key, ...readWanted(attributes) };
}

function readSubject(rdns: DerReader): NonNullable<RequestTemplate['subject']> {
  const subject: NonNullable<RequestTemplate['subject']> = [];
  while (!rdns.done) {
    const set = rdns.set();
    const rdn: { type: string; value: string | undefined }[] = [];
    while (!set.done) {
      const attribute = set.sequence();
      rdn.push({ type: attribute.oid(), value: attribute.done ? undefined : attribute.text() });
      attribute.finish();
    }
    if (rdn.length === 0) set.fail('has an empty relative distinguished name');
    subject.push(rdn);
  }
  return subject;
}

function readKey(key: DerReader): KeyTemplate {
  const algorithm = key.element();
  if (key.done) return { algorithm, modulusBits: undefined };
  const placeholder = DerReader.openSequence(key.wholeBitString(), 'placeholder key', LIMITS);
  key.finish();
  return { algorithm, modulusBits: placeholder.bigint().toString(2).length };
}

function readWanted(list: DerReader): Pick<RequestTemplate, 'extensions' | 'challengePassword'> {
  let extensions: RequestTemplate['extensions'] | undefined;
  let challengePassword = false;
  while (!list.done) {
    const attribute = list.sequence();
    const type = attribute.oid();
    const values = attribute.set();
    attribute.finish();
    if (type === OID.challengePassword) challengePassword = true;
    if (type !== OID.extensionRequest && type !== OID.extensionRequestTemplate) continue;
    if (extensions !== undefined) list.fail('asks for extensions in two ways');
    extensions =
      type === OID.extensionRequest
        ? readExtensions(values.sequence(), true)
        : readExtensionTemplates(values.sequence());
    values.finish();
  }
  return { extensions: extensions ?? [], challengePassword };
}

function readExtensionTemplates(list: DerReader): RequestTemplate['extensions'] {
  const extensions: RequestTemplate['extensions'] = [];
  while (!list.done) {
    const extension = list.sequence();
    const oid = extension.oid();
    const critical = extension.peekTag() === TAG.boolean && extension.boolean();
    const value = extension.done ? undefined : extension.octetString();
    extension.finish();
    if (extensions.some((other) => other.oid === oid)) list.fail(`repeats extension ${oid}`);
    extensions.push({ oid, critical, value });
  }
  return extensions;
}
