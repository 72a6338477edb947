import { randomBytes } from 'node:crypto';
import type { Clock } from '#kernel';

/** A version 7 UUID (RFC 9562 section 5.7): 48 bits of milliseconds, then 74 random bits, so that ids sort by age. */
export function newId(clock: Clock): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(clock.now().getTime(), 0, 6);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True for a lower-case UUID of any version; anything else can be nobody's id and answers as an unknown one. */
export function isId(text: string): boolean {
  return UUID.test(text);
}
