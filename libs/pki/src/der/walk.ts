import { AuthorityError } from '#kernel';
import { decodeOid } from './oid.js';
import { DEFAULT_LIMITS, type DerLimits, isDerBitString, isMinimalInteger } from './read.js';
import { TAG } from './tags.js';
import { decodeText } from './text.js';
import { decodeTime } from './time.js';

/**
 * Checks that a buffer is exactly one element of DER through and through, also in parts that nobody reads later: lengths, depth,
 * number of elements, and the content of every primitive universal type. The order inside SET OF is not judged here.
 * Iterative, linear in the input. Throws AuthorityError 'malformed' or 'tooLarge'.
 */
export function walkDer(der: Buffer, what: string, limits: DerLimits = DEFAULT_LIMITS): void {
  const fail = (problem: string, at: number): never => {
    throw new AuthorityError('malformed', `${what} ${problem} (octet ${at}); send it as plain DER`);
  };
  if (der.length > limits.maxBytes) {
    throw new AuthorityError('tooLarge', `${what} has ${der.length} octets; at most ${limits.maxBytes} are read`);
  }
  const ends: number[] = [];
  let end = der.length;
  let nodes = 0;
  let pos = 0;
  for (;;) {
    while (pos === end && ends.length > 0) end = ends.pop() as number;
    if (pos === end && nodes > 0) return;
    if (ends.length === 0 && nodes > 0) fail('has octets behind its end', pos);
    if (++nodes > limits.maxNodes) fail('has too many elements', pos);
    const tag = end - pos < 2 ? fail('ends inside an element', pos) : (der[pos] as number);
    const { from, to } = bounds(der, pos, end) ?? fail('has a tag or length that is not DER', pos);
    if ((tag & 0x20) !== 0) {
      if (tag < 0x40 && tag !== TAG.sequence && tag !== TAG.set) fail('has a constructed string', pos);
      if (ends.length >= limits.maxDepth) fail('is nested too deeply', pos);
      ends.push(end);
      end = to;
      pos = from;
    } else {
      if (!isPrimitiveContent(tag, der, from, to)) fail('has a value that is not DER', pos);
      pos = to;
    }
  }
}

function bounds(der: Buffer, pos: number, end: number): { from: number; to: number } | undefined {
  if (((der[pos] as number) & 0x1f) === 0x1f) return undefined;
  let from = pos + 2;
  let length = der[pos + 1] as number;
  if (length >= 0x80) {
    const octets = length & 0x7f;
    if (octets === 0 || octets > 4 || end - from < octets) return undefined;
    length = der.readUIntBE(from, octets);
    from += octets;
    if (length < 0x80 || length < 2 ** (8 * (octets - 1))) return undefined;
  }
  return length <= end - from ? { from, to: from + length } : undefined;
}

function isPrimitiveContent(tag: number, der: Buffer, from: number, to: number): boolean {
  if (tag >= 0x40) return true;
  switch (tag) {
    case TAG.boolean:
      return to - from === 1 && (der[from] === 0x00 || der[from] === 0xff);
    case TAG.integer:
    case TAG.enumerated:
      return isMinimalInteger(der, from, to);
    case TAG.bitString:
      return isDerBitString(der, from, to);
    case TAG.octetString:
      return true;
    case TAG.null:
      return to === from;
    case TAG.oid:
      return decodeOid(der, from, to) !== undefined;
    case TAG.utcTime:
    case TAG.generalizedTime:
      return decodeTime(tag, der, from, to) !== undefined;
    default:
      return decodeText(tag, der.subarray(from, to)) !== undefined;
  }
}
