import { DerReader } from '../der/read.js';
import { der } from '../der/write.js';
import { encodeExtension, type Extension } from '../extension.js';
import { encodeGeneralNames } from '../general-name.js';
import type { LintRules } from '../lint.js';
import { OID } from '../oids.js';
import { signatureAlgorithm, signBytes } from '../signature.js';
import { buildTbs, type CertificateTemplate } from '../template.js';
import { deviceRules, deviceTemplate, generateKey, rootTemplate } from './issuing.js';

/** Ways to plant one defect in an otherwise good to-be-signed certificate. */
export const ca = generateKey('ec-p256');
export const device = generateKey('ec-p256');
export const rsaDevice = generateKey('rsa-2048');
export const edDevice = generateKey('ed25519');
export const template = deviceTemplate(ca, device.publicKey);
export const rules = deviceRules(ca);

export const signed = (tbs: Buffer): Buffer =>
  der.sequence(tbs, signatureAlgorithm('ec-p256').der, der.bitString(signBytes('ec-p256', ca.privateKey, tbs)));

/** A defect that the template itself can say. */
export const from = (part: Partial<CertificateTemplate>): Buffer => buildTbs({ ...template, ...part });
export const without = (...members: (keyof CertificateTemplate)[]): CertificateTemplate => {
  const copy = { ...template };
  for (const member of members) delete copy[member];
  return copy;
};

export const FIELDS = {
  version: 0,
  serial: 1,
  algorithm: 2,
  issuer: 3,
  validity: 4,
  subject: 5,
  spki: 6,
  extensions: 7,
} as const;

/** The good TBS with one of its elements replaced. */
export function swap(field: keyof typeof FIELDS, element: Buffer, base = buildTbs(template)): Buffer {
  const body = DerReader.openSequence(base, 'test');
  const elements: Buffer[] = [];
  while (!body.done) elements.push(body.element());
  elements[FIELDS[field]] = element;
  return der.sequence(...elements);
}

/** The good TBS (or another) with one extension replaced, added or, without a value, left out. */
export function extension(oid: string, change: Partial<Extension> | undefined, base = buildTbs(template)): Buffer {
  const body = DerReader.openSequence(base, 'test');
  for (let i = 0; i < FIELDS.extensions; i++) body.skip();
  const list = body.enter(0xa3).sequence();
  const kept: Buffer[] = [];
  let old: Extension = { oid, critical: false, value: Buffer.alloc(0) };
  while (!list.done) {
    const element = list.peekElement();
    const parts = list.sequence();
    if (parts.oid() !== oid) kept.push(element);
    else old = { oid, critical: parts.peekTag() === 1 && parts.boolean(), value: parts.octetString() };
  }
  if (change !== undefined) kept.push(encodeExtension({ ...old, ...change }));
  return swap('extensions', der.constructed(3, der.sequence(...kept)), base);
}

export const validity = (notBefore: Buffer, notAfter: Buffer): Buffer =>
  swap('validity', der.sequence(notBefore, notAfter));
export const san = (...names: Parameters<typeof encodeGeneralNames>[0]): Buffer => from({ san: [...names] });
export const root = buildTbs(rootTemplate(ca));
export const usage = (...bits: number[]): Buffer => extension(OID.keyUsage, { value: der.namedBits(bits) });
export const rdn = (type: string, value: Buffer): Buffer => der.sequence(der.setOf(der.sequence(der.oid(type), value)));
export const weakKey = (): Buffer => {
  const modulus = (1n << 2047n) + 1n;
  const key = der.sequence(der.integer(modulus * 2n + 1n), der.integer(3));
  return der.sequence(der.sequence(der.oid(OID.rsaEncryption), der.null()), der.bitString(key));
};
export const delegate: LintRules = { ...rules, eku: [OID.ocspSigning], revocation: 'none' };
export const point = (...parts: Buffer[]): Buffer => der.sequence(der.sequence(...parts));
export const uri = (text: string): Buffer => der.primitive(6, Buffer.from(text));
export const end = template.notAfter;
