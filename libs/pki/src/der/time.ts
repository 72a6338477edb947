/** UTCTime and GeneralizedTime as RFC 5280 4.1.2.5 profiles them: seconds present, no fraction, Z. */

const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;

/** The instant, or undefined if the octets are no such time. Two-digit years 50-99 are 19xx. */
export function decodeTime(tag: number, bytes: Buffer, from: number, to: number): Date | undefined {
  const yearDigits = tag === UTC_TIME ? 2 : tag === GENERALIZED_TIME ? 4 : 0;
  if (yearDigits === 0 || to - from !== yearDigits + 11 || bytes[to - 1] !== 0x5a) return undefined;
  for (let i = from; i < to - 1; i++) {
    const digit = bytes[i] as number;
    if (digit < 0x30 || digit > 0x39) return undefined;
  }
  const pair = (at: number): number => ((bytes[at] as number) - 0x30) * 10 + (bytes[at + 1] as number) - 0x30;
  const rest = from + yearDigits;
  const head = pair(from);
  const year = yearDigits === 4 ? head * 100 + pair(from + 2) : head < 50 ? 2000 + head : 1900 + head;
  const [month, day, hour, minute, second] = [
    pair(rest),
    pair(rest + 2),
    pair(rest + 4),
    pair(rest + 6),
    pair(rest + 8),
  ];
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  return date.getUTCDate() === day ? date : undefined;
}

/** `YYYYMMDDHHMMSSZ`; fractions of a second are dropped. Throws RangeError outside the years 0 to 9999. */
export function generalizedTimeText(date: Date): string {
  const second = Math.floor(date.getTime() / 1000);
  const known = recent.get(second);
  if (known !== undefined) return known;
  const text = formatTime(date);
  if (recent.size === RECENT) recent.clear();
  recent.set(second, text);
  return text;
}

/** A responder writes the same few seconds into thousands of answers. */
const RECENT = 64;
const recent = new Map<number, string>();

function formatTime(date: Date): string {
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) throw new RangeError('time outside the years 0000 to 9999');
  const two = (n: number): string => (n < 10 ? `0${n}` : `${n}`);
  const day = String(year).padStart(4, '0') + two(date.getUTCMonth() + 1) + two(date.getUTCDate());
  return `${day}${two(date.getUTCHours())}${two(date.getUTCMinutes())}${two(date.getUTCSeconds())}Z`;
}

/** True for the years that RFC 5280 writes as UTCTime (X05). */
export function isUtcTimeYear(date: Date): boolean {
  const year = date.getUTCFullYear();
  return year >= 1950 && year <= 2049;
}
