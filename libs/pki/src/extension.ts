import type { DerReader } from './der/read.js';
import { TAG } from './der/tags.js';
import { der } from './der/write.js';

/** `value` is what stands inside the OCTET STRING. */
export interface Extension {
  oid: string;
  critical: boolean;
  value: Buffer;
}

/**
 * Reads the Extension elements inside a SEQUENCE that the reader has entered, in order. A repeated extnID is malformed (RFC 5280 4.2),
 * and so is an empty list. `strict` also refuses an encoded DEFAULT FALSE, which certificates of others do contain.
 */
export function readExtensions(list: DerReader, strict: boolean): Extension[] {
  const extensions: Extension[] = [];
  while (!list.done) {
    const extension = list.sequence();
    const oid = extension.oid();
    let critical = false;
    if (extension.peekTag() === TAG.boolean) {
      critical = extension.boolean();
      if (strict && !critical) extension.fail('encodes the default FALSE of an extension');
    }
    const value = extension.octetString();
    extension.finish();
    if (extensions.some((other) => other.oid === oid)) list.fail(`repeats extension ${oid}`);
    extensions.push({ oid, critical, value });
  }
  if (extensions.length === 0) list.fail('has an empty list of extensions');
  return extensions;
}

/** DER of one Extension; FALSE is the default and stays away. */
export function encodeExtension({ oid, critical, value }: Extension): Buffer {
  return critical
    ? der.sequence(der.oid(oid), der.boolean(true), der.octetString(value))
    : der.sequence(der.oid(oid), der.octetString(value));
}
