import { describe, expect, it } from '@jest/globals';
import { DerReader } from './der/read.js';
import { der } from './der/write.js';
import { newSerial } from './serial.js';

const SAMPLES = 100_000;

describe('newSerial', () => {
  it('gives 17 octets of valid DER content: positive, not zero, below 20 octets (X02)', () => {
    for (const epoch of [1, 42, 127]) {
      const content = Buffer.from(newSerial(epoch), 'hex');
      expect(content).toHaveLength(17);
      expect(content[0]).toBe(epoch);
      expect(DerReader.open(der.tagged(0x02, content), 'serial').bigint()).toBeGreaterThan(0n);
    }
  });

  it(`spreads 128 random bits evenly over ${SAMPLES} serials, none twice (X03, X04)`, () => {
    const ones = new Array<number>(128).fill(0);
    const seen = new Set<string>();
    for (let i = 0; i < SAMPLES; i++) {
      const serial = newSerial();
      seen.add(serial);
      const random = Buffer.from(serial, 'hex').subarray(1);
      for (let bit = 0; bit < 128; bit++) {
        ones[bit] = (ones[bit] as number) + (((random[bit >> 3] as number) >> (7 - (bit & 7))) & 1);
      }
    }
    expect(seen.size).toBe(SAMPLES);
    // Six standard deviations of a fair bit: over 128 bits a sound generator fails this once in 4 million runs.
    const bound = 6 * Math.sqrt(SAMPLES / 4);
    expect(ones.filter((count) => Math.abs(count - SAMPLES / 2) > bound)).toEqual([]);
  });

  it.each([0, 128, -1, 1.5, Number.NaN])('refuses epoch %p', (epoch) => {
    expect(() => newSerial(epoch)).toThrow(expect.objectContaining({ kind: 'internal' }));
  });
});
