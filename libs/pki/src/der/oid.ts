/** Content octets of OBJECT IDENTIFIER (X.690 8.19) as dotted text and back. Arcs may have up to 128 bits (2.25.<UUID>). */

/** 128 bits take 19 septets; a longer arc is nothing we want to hold. */
const MAX_ARC_OCTETS = 19;
const MAX_OID_OCTETS = 128;
/** 2^128 - 1, the largest arc. */
const MAX_ARC = (1n << 128n) - 1n;

/** Dotted text of the content octets, or undefined if they are not a DER encoding of an object identifier. */
export function decodeOid(bytes: Buffer, from: number, to: number): string | undefined {
  if (to <= from || to - from > MAX_OID_OCTETS) return undefined;
  let text = '';
  let at = from;
  while (at < to) {
    const start = at;
    if (bytes[at] === 0x80) return undefined;
    while (at < to && (bytes[at] as number) >= 0x80) at++;
    if (at >= to || at - start >= MAX_ARC_OCTETS) return undefined;
    at++;
    const arc = at - start <= 7 ? smallArc(bytes, start, at) : bigArc(bytes, start, at);
    if (arc === undefined) return undefined;
    text = text === '' ? firstArcs(arc) : `${text}.${arc}`;
  }
  return text;
}

function smallArc(bytes: Buffer, from: number, to: number): number {
  let arc = 0;
  for (let i = from; i < to; i++) arc = arc * 128 + ((bytes[i] as number) & 0x7f);
  return arc;
}

function bigArc(bytes: Buffer, from: number, to: number): bigint | undefined {
  let arc = 0n;
  for (let i = from; i < to; i++) arc = (arc << 7n) | BigInt((bytes[i] as number) & 0x7f);
  return arc <= MAX_ARC ? arc : undefined;
}

/** The first subidentifier holds two arcs: 40 * first + second, where only a first arc of 2 has a second one above 39. */
function firstArcs(arc: number | bigint): string {
  if (arc < 40) return `0.${arc}`;
  if (arc < 80) return `1.${Number(arc) - 40}`;
  return typeof arc === 'bigint' ? `2.${arc - 80n}` : `2.${arc - 80}`;
}

/** Content octets of a dotted object identifier. Throws RangeError on text that is none: the caller's own constant is wrong. */
export function encodeOid(text: string): Buffer {
  if (!/^[0-2](\.(0|[1-9]\d{0,38}))+$/.test(text)) throw new RangeError(`not an object identifier: ${text}`);
  const [first, second, ...rest] = text.split('.').map(BigInt) as [bigint, bigint, ...bigint[]];
  if ((first < 2n && second > 39n) || [second, ...rest].some((arc) => arc > MAX_ARC - 80n)) {
    throw new RangeError(`arc out of range in ${text}`);
  }
  const octets: number[] = [];
  for (const arc of [first * 40n + second, ...rest]) {
    const septets: number[] = [];
    for (let left = arc; septets.length === 0 || left > 0n; left >>= 7n) septets.unshift(Number(left & 0x7fn));
    septets.forEach((septet, i) => octets.push(i < septets.length - 1 ? septet | 0x80 : septet));
  }
  return Buffer.from(octets);
}
