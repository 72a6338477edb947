import { AuthorityError } from '#kernel';
import { decodeOid } from './oid.js';
import { contextConstructedTag, contextTag, TAG } from './tags.js';
import { decodeText } from './text.js';
import { decodeTime } from './time.js';

/** Ceilings of one read: octets of input, nesting of constructed elements, elements in all. */
export interface DerLimits {
  maxBytes: number;
  maxDepth: number;
  maxNodes: number;
}

/** Enough for every certificate, CSR and OCSP message; CRLs bring their own. */
export const DEFAULT_LIMITS: DerLimits = { maxBytes: 65_536, maxDepth: 24, maxNodes: 8_192 };

/**
 * A cursor over DER (X.690), strict: definite minimal lengths, minimal integers, TRUE as FF, zero padding bits, primitive strings.
 * Nothing is copied: buffers that it returns are views of the input. Everything that does not fit throws
 * AuthorityError 'malformed' ('tooLarge' above `maxBytes`), never another error.
 */
export class DerReader {
  private from = 0;
  private to = 0;

  private constructor(
    private readonly bytes: Buffer,
    private pos: number,
    private readonly end: number,
    private readonly depth: number,
    private readonly budget: { nodes: number },
    private readonly what: string,
  ) {}

  /** Opens a reader on a whole buffer. `what` names the structure in error texts ("CSR"). */
  static open(der: Buffer, what: string, limits: DerLimits = DEFAULT_LIMITS): DerReader {
    if (der.length > limits.maxBytes) {
      throw new AuthorityError('tooLarge', `${what} has ${der.length} octets; at most ${limits.maxBytes} are read`);
    }
    return new DerReader(der, 0, der.length, limits.maxDepth, { nodes: limits.maxNodes }, what);
  }

  /** Opens a buffer that must hold exactly one SEQUENCE and nothing behind it; returns the reader of its content. */
  static openSequence(der: Buffer, what: string, limits: DerLimits = DEFAULT_LIMITS): DerReader {
    const outer = DerReader.open(der, what, limits);
    const inner = outer.sequence();
    outer.finish();
    return inner;
  }

  get done(): boolean {
    return this.pos >= this.end;
  }

  /** Identifier octet of the next element, -1 at the end. */
  peekTag(): number {
    return this.pos < this.end ? (this.bytes[this.pos] as number) : -1;
  }

  /** Octets from here to the end of this reader. */
  get remaining(): number {
    return this.end - this.pos;
  }

  /** Throws unless everything was read. */
  finish(): void {
    if (this.pos < this.end) this.fail('has octets behind its end');
  }

  /** Throws AuthorityError 'malformed' about the structure that is being read. */
  fail(problem: string): never {
    throw new AuthorityError('malformed', `${this.what} ${problem} (octet ${this.pos}); send it as plain DER`);
  }

  /** The next element whole, tag and length included. */
  element(): Buffer {
    const start = this.pos;
    this.header();
    return this.bytes.subarray(start, this.to);
  }

  /** As `element`, without moving the cursor. */
  peekElement(): Buffer {
    const start = this.pos;
    const element = this.element();
    this.pos = start;
    return element;
  }

  /** Steps over the next element whatever it is. */
  skip(): void {
    this.header();
  }

  /** Content octets of the next element, which must have this identifier octet. */
  content(tag: number): Buffer {
    this.expect(tag);
    return this.bytes.subarray(this.from, this.to);
  }

  /** Reader of the content of the next element, which must be constructed and have this identifier octet. */
  enter(tag: number): DerReader {
    this.expect(tag);
    if ((tag & 0x20) === 0) this.fail('enters a primitive element');
    if (this.depth <= 0) this.fail('is nested too deeply');
    return new DerReader(this.bytes, this.from, this.to, this.depth - 1, this.budget, this.what);
  }

  sequence(): DerReader {
    return this.enter(TAG.sequence);
  }

  set(): DerReader {
    return this.enter(TAG.set);
  }

  /** Content of `[number]` constructed (EXPLICIT, or IMPLICIT SEQUENCE/SET), or undefined if the next element is another. */
  optionalContext(number: number): DerReader | undefined {
    const tag = contextConstructedTag(number);
    return this.peekTag() === tag ? this.enter(tag) : undefined;
  }

  /** Content octets of `[number]` primitive (IMPLICIT), or undefined if the next element is another. */
  optionalContextBytes(number: number): Buffer | undefined {
    const tag = contextTag(number);
    return this.peekTag() === tag ? this.content(tag) : undefined;
  }

  boolean(): boolean {
    this.expect(TAG.boolean);
    const value = this.bytes[this.from];
    if (this.to - this.from !== 1 || (value !== 0x00 && value !== 0xff)) this.fail('has a BOOLEAN that is not DER');
    return value === 0xff;
  }

  /** Two's complement content octets of an INTEGER (or of another tag with the same content), minimal. */
  integer(tag: number = TAG.integer): Buffer {
    this.expect(tag);
    if (!isMinimalInteger(this.bytes, this.from, this.to)) this.fail('has an INTEGER that is not DER');
    return this.bytes.subarray(this.from, this.to);
  }

  bigint(tag: number = TAG.integer): bigint {
    const content = this.integer(tag);
    const value = BigInt(`0x${content.toString('hex')}`);
    return (content[0] as number) < 0x80 ? value : value - (1n << BigInt(content.length * 8));
  }

  /** An INTEGER of at most 4 octets. */
  smallInteger(tag: number = TAG.integer): number {
    const content = this.integer(tag);
    if (content.length > 4) this.fail('has an INTEGER that is out of range');
    return content.readIntBE(0, content.length);
  }

  enumerated(): number {
    return this.smallInteger(TAG.enumerated);
  }

  null(): void {
    this.expect(TAG.null);
    if (this.to !== this.from) this.fail('has a NULL that is not empty');
  }

  oid(tag: number = TAG.oid): string {
    this.expect(tag);
    const text = decodeOid(this.bytes, this.from, this.to);
    if (text === undefined) this.fail('has a broken OBJECT IDENTIFIER');
    return text;
  }

  octetString(): Buffer {
    return this.content(TAG.octetString);
  }

  bitString(tag: number = TAG.bitString): { unusedBits: number; bytes: Buffer } {
    this.expect(tag);
    if (!isDerBitString(this.bytes, this.from, this.to)) this.fail('has a BIT STRING that is not DER');
    return { unusedBits: this.bytes[this.from] as number, bytes: this.bytes.subarray(this.from + 1, this.to) };
  }

  /** A BIT STRING of whole octets, as keys and signatures are. */
  wholeBitString(): Buffer {
    const { unusedBits, bytes } = this.bitString();
    if (unusedBits !== 0) this.fail('has a BIT STRING that does not end on an octet');
    return bytes;
  }

  /** UTCTime or GeneralizedTime with seconds and Z (RFC 5280 4.1.2.5); either form is taken for any year. */
  time(): Date {
    const tag = this.peekTag();
    this.header();
    const date = decodeTime(tag, this.bytes, this.from, this.to);
    if (date === undefined) this.fail('has a time that is not in the form of RFC 5280 4.1.2.5');
    return date;
  }

  /** GeneralizedTime alone, as in OCSP and invalidityDate. */
  generalizedTime(): Date {
    if (this.peekTag() !== TAG.generalizedTime) this.fail('lacks a GeneralizedTime');
    return this.time();
  }

  /** Any character string of X.520; the text may be empty. */
  text(): string {
    const tag = this.peekTag();
    this.header();
    const text = decodeText(tag, this.bytes.subarray(this.from, this.to));
    if (text === undefined) this.fail('has a character string that breaks its own alphabet');
    return text;
  }

  private expect(tag: number): void {
    if (this.peekTag() !== tag) {
      this.fail(`has element ${hex(this.peekTag())} where ${hex(tag)} belongs`);
    }
    this.header();
  }

  /** Reads identifier and length octets, notes the content's bounds and moves behind it. */
  private header(): void {
    const { bytes, end } = this;
    const start = this.pos;
    if (end - start < 2) this.fail('ends inside an element');
    if (--this.budget.nodes < 0) this.fail('has too many elements');
    if (((bytes[start] as number) & 0x1f) === 0x1f) this.fail('has a tag of more than one octet');
    let at = start + 2;
    let length = bytes[start + 1] as number;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      if (octets === 0 || octets > 4) this.fail('has an indefinite or absurd length');
      if (end - at < octets) this.fail('ends inside a length');
      length = bytes.readUIntBE(at, octets);
      at += octets;
      if (length < 0x80 || length < 2 ** (8 * (octets - 1))) this.fail('has a length that is not minimal');
    }
    if (length > end - at) this.fail('has an element that is longer than what holds it');
    this.from = at;
    this.to = at + length;
    this.pos = this.to;
  }
}

const hex = (tag: number): string => (tag < 0 ? 'end' : `0x${tag.toString(16).padStart(2, '0')}`);

/** X.690 8.3.2: at least one octet, and the first nine bits are not all equal. */
export function isMinimalInteger(bytes: Buffer, from: number, to: number): boolean {
  if (to - from < 2) return to - from === 1;
  const first = bytes[from];
  const negative = (bytes[from + 1] as number) >= 0x80;
  return !((first === 0x00 && !negative) || (first === 0xff && negative));
}

/** X.690 8.6.2, 11.2.1: 0-7 unused bits, all zero, none without octets. */
export function isDerBitString(bytes: Buffer, from: number, to: number): boolean {
  const unused = bytes[from] as number;
  if (to - from < 1 || unused > 7) return false;
  if (to - from === 1) return unused === 0;
  return ((bytes[to - 1] as number) & ((1 << unused) - 1)) === 0;
}
