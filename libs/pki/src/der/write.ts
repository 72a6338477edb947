import { encodeOid } from './oid.js';
import { contextConstructedTag, contextTag, TAG } from './tags.js';
import { isPrintable } from './text.js';
import { generalizedTimeText, isUtcTimeYear } from './time.js';

/** Identifier and length octets of an element. */
export function derHeader(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.from([tag, length]);
  if (length < 0x100) return Buffer.from([tag, 0x81, length]);
  if (length < 0x1_0000) return Buffer.from([tag, 0x82, length >> 8, length & 0xff]);
  if (length < 0x100_0000) return Buffer.from([tag, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff]);
  const header = Buffer.from([tag, 0x84, 0, 0, 0, 0]);
  header.writeUInt32BE(length, 2);
  return header;
}

function tagged(tag: number, ...parts: Buffer[]): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  const head = length < 0x80 ? 2 : length < 0x100 ? 3 : length < 0x1_0000 ? 4 : length < 0x100_0000 ? 5 : 6;
  const out = Buffer.allocUnsafe(head + length);
  out[0] = tag;
  if (head === 2) out[1] = length;
  else {
    out[1] = 0x80 | (head - 2);
    out.writeUIntBE(length, 2, head - 2);
  }
  let at = head;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Two's complement, minimal. A Buffer is taken as an unsigned magnitude. */
function integerContent(value: number | bigint | Buffer): Buffer {
  if (Buffer.isBuffer(value)) {
    let skip = 0;
    while (skip < value.length - 1 && value[skip] === 0) skip++;
    const magnitude = value.length === 0 ? Buffer.of(0) : value.subarray(skip);
    return (magnitude[0] as number) >= 0x80 ? Buffer.concat([Buffer.of(0), magnitude]) : magnitude;
  }
  if (typeof value === 'number' && value >= 0 && value < 0x80) return Buffer.of(value);
  let left = BigInt(value);
  const octets: number[] = [];
  do {
    octets.unshift(Number(left & 0xffn));
    left >>= 8n;
  } while (!(left === 0n && (octets[0] as number) < 0x80) && !(left === -1n && (octets[0] as number) >= 0x80));
  return Buffer.from(octets);
}

/** Encoded identifiers of constants; bounded, since identifiers from outside pass here too. */
const oidCache = new Map<string, Buffer>();
const OID_CACHE_SIZE = 512;

function oid(text: string): Buffer {
  const known = oidCache.get(text);
  if (known !== undefined) return known;
  const element = tagged(TAG.oid, encodeOid(text));
  if (oidCache.size < OID_CACHE_SIZE) oidCache.set(text, element);
  return element;
}

function ascii(tag: number, text: string, fits: (text: string) => boolean): Buffer {
  if (!fits(text)) throw new RangeError('text does not fit the alphabet of its ASN.1 type');
  return tagged(tag, Buffer.from(text, 'latin1'));
}

/** X.690 11.2.2: a BIT STRING with named bits loses its trailing zero bits. */
function namedBits(bits: readonly number[]): Buffer {
  if (bits.length === 0) return Buffer.from([TAG.bitString, 1, 0]);
  const highest = Math.max(...bits);
  const octets = Buffer.alloc((highest >> 3) + 2);
  octets[0] = 7 - (highest & 7);
  for (const bit of bits) octets[(bit >> 3) + 1] = (octets[(bit >> 3) + 1] as number) | (0x80 >> (bit & 7));
  return tagged(TAG.bitString, octets);
}

/**
 * Writes DER elements (X.690) into Buffers. Throws RangeError where a caller passes a value that its type cannot hold. Buffers that
 * it returns are the caller's, except those of `oid`, which are shared and must not be changed.
 */
export const der = {
  /** An element with any identifier octet around parts that are already encoded. */
  tagged,
  sequence: (...parts: Buffer[]): Buffer => tagged(TAG.sequence, ...parts),
  /** SET OF, sorted as X.690 11.6 wants it. */
  setOf: (...parts: Buffer[]): Buffer => tagged(TAG.set, ...sortSetOf(parts)),
  /** `[number]` EXPLICIT, or IMPLICIT on a constructed type. */
  constructed: (number: number, ...parts: Buffer[]): Buffer => tagged(contextConstructedTag(number), ...parts),
  /** `[number]` IMPLICIT on a primitive type, around its content octets. */
  primitive: (number: number, content: Buffer): Buffer => tagged(contextTag(number), content),
  boolean: (value: boolean): Buffer => Buffer.from([TAG.boolean, 1, value ? 0xff : 0x00]),
  /** A Buffer is an unsigned magnitude: a zero octet goes in front where its top bit is set. */
  integer: (value: number | bigint | Buffer): Buffer => tagged(TAG.integer, integerContent(value)),
  enumerated: (value: number): Buffer => tagged(TAG.enumerated, integerContent(value)),
  null: (): Buffer => Buffer.from([TAG.null, 0]),
  oid,
  octetString: (content: Buffer): Buffer => tagged(TAG.octetString, content),
  bitString: (content: Buffer, unusedBits = 0): Buffer => tagged(TAG.bitString, Buffer.of(unusedBits), content),
  namedBits,
  utf8String: (text: string): Buffer => tagged(TAG.utf8String, Buffer.from(text, 'utf8')),
  printableString: (text: string): Buffer => ascii(TAG.printableString, text, isPrintable),
  ia5String: (text: string): Buffer => ascii(TAG.ia5String, text, isIa5),
  /** UTCTime from 1950 to 2049, else GeneralizedTime (RFC 5280 4.1.2.5); whole seconds. */
  time: (date: Date): Buffer =>
    isUtcTimeYear(date)
      ? tagged(TAG.utcTime, Buffer.from(generalizedTimeText(date).slice(2), 'latin1'))
      : der.generalizedTime(date),
  generalizedTime: (date: Date): Buffer =>
    tagged(TAG.generalizedTime, Buffer.from(generalizedTimeText(date), 'latin1')),
};

/** True for text of 7-bit characters. */
export function isIa5(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

/** Elements in ascending order of their encodings; a shorter one that is a prefix comes first (X.690 11.6). */
export function sortSetOf(parts: Buffer[]): Buffer[] {
  return parts.length < 2 ? parts : [...parts].sort(Buffer.compare);
}
