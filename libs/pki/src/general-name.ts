import { isIPv4, isIPv6 } from 'node:net';
import { AuthorityError } from '#kernel';
import type { DerReader } from './der/read.js';
import { contextConstructedTag, contextTag } from './der/tags.js';
import { der, isIa5 } from './der/write.js';
import { encodeOid } from './der/oid.js';
import { canonicalName, readName } from './name.js';

/**
 * GeneralName (RFC 5280 4.2.1.6). `ip` is the text of an IPv4 or IPv6 address; `directory` holds the DER of the Name, `other` the DER
 * of the value inside its `[0]`, `x400` and `edi` the whole element.
 */
export type GeneralName =
  | { type: 'uri' | 'dns' | 'email'; value: string }
  | { type: 'ip'; value: string }
  | { type: 'directory'; der: Buffer }
  | { type: 'other'; oid: string; value: Buffer }
  | { type: 'registeredId'; value: string }
  | { type: 'x400' | 'edi'; der: Buffer };

const STRING_TYPES = { email: 1, dns: 2, uri: 6 } as const;

/** DER of one GeneralName. Throws AuthorityError 'invalid' if the value does not fit its type. */
export function encodeGeneralName(name: GeneralName): Buffer {
  switch (name.type) {
    case 'email':
    case 'dns':
    case 'uri':
      if (name.value === '' || !isIa5(name.value)) {
        throw new AuthorityError('invalid', `a name of type ${name.type} is empty or not ASCII`);
      }
      return der.primitive(STRING_TYPES[name.type], Buffer.from(name.value, 'latin1'));
    case 'ip':
      return der.primitive(7, encodeIp(name.value));
    case 'directory':
      return der.constructed(4, name.der);
    case 'other':
      return der.constructed(0, der.oid(name.oid), der.constructed(0, name.value));
    case 'registeredId':
      return der.primitive(8, encodeOid(name.value));
    case 'x400':
    case 'edi':
      return name.der;
  }
}

/** DER of GeneralNames, a SEQUENCE in the given order. */
export function encodeGeneralNames(names: readonly GeneralName[]): Buffer {
  return der.sequence(...names.map(encodeGeneralName));
}

/** Reads the names inside a SEQUENCE (or IMPLICIT tag) that the reader has entered; none at all is malformed. */
export function readGeneralNames(names: DerReader): GeneralName[] {
  const found: GeneralName[] = [];
  while (!names.done) found.push(readGeneralName(names));
  if (found.length === 0) names.fail('has an empty list of general names');
  return found;
}

/** Reads the GeneralName at the cursor. */
export function readGeneralName(reader: DerReader): GeneralName {
  const tag = reader.peekTag();
  switch (tag) {
    case contextTag(1):
      return { type: 'email', value: readIa5(reader, tag) };
    case contextTag(2):
      return { type: 'dns', value: readIa5(reader, tag) };
    case contextTag(6):
      return { type: 'uri', value: readIa5(reader, tag) };
    case contextTag(7):
      return {
        type: 'ip',
        value: decodeIp(reader.content(tag)) ?? reader.fail('has an iPAddress that is not 4 or 16 octets'),
      };
    case contextTag(8):
      return { type: 'registeredId', value: reader.oid(tag) };
    case contextConstructedTag(0): {
      const other = reader.enter(tag);
      const oid = other.oid();
      const wrapped = other.enter(contextConstructedTag(0));
      const value = wrapped.element();
      wrapped.finish();
      other.finish();
      return { type: 'other', oid, value };
    }
    case contextConstructedTag(3):
      return { type: 'x400', der: reader.element() };
    case contextConstructedTag(4): {
      const wrapped = reader.enter(tag);
      const nameDer = wrapped.element();
      readName(nameDer);
      wrapped.finish();
      return { type: 'directory', der: nameDer };
    }
    case contextConstructedTag(5):
      return { type: 'edi', der: reader.element() };
    default:
      return reader.fail('has a general name of no known type');
  }
}

function readIa5(reader: DerReader, tag: number): string {
  const text = reader.content(tag).toString('latin1');
  return isIa5(text) ? text : reader.fail('has a general name that is not IA5String');
}

/** Text of 4 or 16 address octets; undefined for another length. IPv6 in the form of RFC 5952. */
export function decodeIp(octets: Buffer): string | undefined {
  if (octets.length === 4) return octets.join('.');
  if (octets.length !== 16) return undefined;
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(octets.readUInt16BE(i).toString(16));
  return compressZeros(groups);
}

/** RFC 5952 4.2: the first longest run of at least two zero groups becomes `::`. */
function compressZeros(groups: string[]): string {
  let best = { from: 0, length: 1 };
  for (let from = 0; from < groups.length; from++) {
    let length = 0;
    while (groups[from + length] === '0') length++;
    if (length > best.length) best = { from, length };
  }
  if (best.length === 1) return groups.join(':');
  return `${groups.slice(0, best.from).join(':')}::${groups.slice(best.from + best.length).join(':')}`;
}

/** Octets of a textual address. Throws AuthorityError 'invalid'. */
export function encodeIp(text: string): Buffer {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  if (!isIPv6(text) || text.includes('%'))
    throw new AuthorityError('invalid', 'a name of type ip is no IPv4 or IPv6 address');
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const plain = dotted === null ? text : `${dotted[1]}${hexGroups(dotted[2] as string)}`;
  const [head, tail] = plain.split('::') as [string, string | undefined];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = new Array<string>(8 - left.length - right.length).fill('0');
  const out = Buffer.alloc(16);
  [...left, ...zeros, ...right].forEach((group, i) => out.writeUInt16BE(parseInt(group, 16), i * 2));
  return out;
}

function hexGroups(dotted: string): string {
  const octets = Buffer.from(dotted.split('.').map(Number));
  return `${octets.readUInt16BE(0).toString(16)}:${octets.readUInt16BE(2).toString(16)}`;
}

/**
 * One string per name such that two SANs name the same things exactly if their sets of strings are equal (E81): host parts and
 * `urn:uuid:` without case, user parts as they stand (RFC 3261 19.1.4, RFC 5321 2.4), directory names by RFC 5280 7.1.
 */
export function canonicalGeneralName(name: GeneralName): string {
  switch (name.type) {
    case 'dns':
      return `dns:${name.value.toLowerCase()}`;
    case 'email':
      return `email:${lowerHostAfterAt(name.value)}`;
    case 'uri':
      return `uri:${canonicalUri(name.value)}`;
    case 'ip':
      return `ip:${decodeIp(encodeIp(name.value)) ?? name.value}`;
    case 'directory':
      return `directory:${canonicalName(name.der)}`;
    case 'other':
      return `other:${name.oid}:${name.value.toString('hex')}`;
    case 'registeredId':
      return `registeredId:${name.value}`;
    case 'x400':
    case 'edi':
      return `${name.type}:${name.der.toString('hex')}`;
  }
}

function lowerHostAfterAt(address: string): string {
  const at = address.lastIndexOf('@');
  return address.slice(0, at + 1) + address.slice(at + 1).toLowerCase();
}

function canonicalUri(uri: string): string {
  const colon = uri.indexOf(':');
  if (colon < 0) return uri;
  const scheme = uri.slice(0, colon).toLowerCase();
  const rest = uri.slice(colon + 1);
  if (scheme === 'urn') return `urn:${canonicalUrn(rest)}`;
  if (scheme === 'sip' || scheme === 'sips' || scheme === 'im' || scheme === 'pres' || scheme === 'mailto') {
    const end = rest.search(/[;?]/);
    const address = end < 0 ? rest : rest.slice(0, end);
    return `${scheme}:${lowerHostAfterAt(address)}${end < 0 ? '' : rest.slice(end)}`;
  }
  const authority = /^\/\/([^/?#]*)(.*)$/s.exec(rest);
  return authority === null
    ? `${scheme}:${rest}`
    : `${scheme}://${lowerHostAfterAt(authority[1] as string)}${authority[2]}`;
}

/** RFC 8141 3.1: the namespace identifier has no case; of the specific string only where its namespace says so, as `uuid` does. */
function canonicalUrn(rest: string): string {
  const colon = rest.indexOf(':');
  const namespace = rest.slice(0, Math.max(colon, 0)).toLowerCase();
  return namespace === 'uuid' ? rest.toLowerCase() : `${namespace}${rest.slice(Math.max(colon, 0))}`;
}
