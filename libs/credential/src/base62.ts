import { AuthorityError } from '#kernel';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const LIMB = 2 ** 32;
/** Digits handled at a time: 62^3 < 2^18, so that digit group x limb stays an exact integer (2^50). */
const GROUP = 3;
const GROUP_VALUE = 62 ** GROUP;

const DIGITS = ((): Uint8Array => {
  const digits = new Uint8Array(128).fill(255);
  for (let i = 0; i < ALPHABET.length; i++) digits[ALPHABET.charCodeAt(i)] = i;
  return digits;
})();

/**
 * The bytes as one big-endian number in base 62 (`0-9A-Za-z`), left-padded with `0` to `length` characters.
 * `internal` when the number does not fit.
 */
export function encodeBase62(bytes: Buffer, length: number): string {
  const limbs = toLimbs(bytes);
  const digits: number[] = [];
  while (digits.length < length) {
    let rest = 0;
    for (let i = 0; i < limbs.length; i++) {
      const value = rest * LIMB + (limbs[i] ?? 0);
      const quotient = Math.floor(value / GROUP_VALUE);
      limbs[i] = quotient;
      rest = value - quotient * GROUP_VALUE;
    }
    for (let i = 0; i < GROUP; i++) {
      digits.push(rest % 62);
      rest = Math.floor(rest / 62);
    }
  }
  const overflow = limbs.some((limb) => limb !== 0) || digits.slice(length).some((digit) => digit !== 0);
  if (overflow)
    throw new AuthorityError('internal', `${bytes.length} bytes do not fit into ${length} base62 characters`);
  let text = '';
  for (let i = length - 1; i >= 0; i--) text += ALPHABET[digits[i] ?? 0];
  return text;
}

/** The number back as exactly `bytes` big-endian bytes; undefined for a foreign character or a number that is too large. */
export function decodeBase62(text: string, bytes: number): Buffer | undefined {
  const limbs = new Array<number>(Math.ceil(bytes / 4)).fill(0);
  let at = 0;
  while (at < text.length) {
    const end = at + ((text.length - at) % GROUP || GROUP);
    let carry = 0;
    let factor = 1;
    for (; at < end; at++) {
      const digit = DIGITS[text.charCodeAt(at)] ?? 255;
      if (digit === 255) return undefined;
      carry = carry * 62 + digit;
      factor *= 62;
    }
    for (let i = limbs.length - 1; i >= 0; i--) {
      const value = (limbs[i] ?? 0) * factor + carry;
      carry = Math.floor(value / LIMB);
      limbs[i] = value - carry * LIMB;
    }
    if (carry !== 0) return undefined;
  }
  const padded = Buffer.alloc(limbs.length * 4);
  limbs.forEach((limb, i) => padded.writeUInt32BE(limb, i * 4));
  const surplus = padded.length - bytes;
  for (let i = 0; i < surplus; i++) if (padded[i] !== 0) return undefined;
  return padded.subarray(surplus);
}

function toLimbs(bytes: Buffer): number[] {
  const padded = Buffer.alloc(Math.ceil(bytes.length / 4) * 4);
  bytes.copy(padded, padded.length - bytes.length);
  const limbs: number[] = [];
  for (let i = 0; i < padded.length; i += 4) limbs.push(padded.readUInt32BE(i));
  return limbs;
}
