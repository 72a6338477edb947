import { describe, expect, test } from '@jest/globals';
import { mintApiKey, mintEnrollmentSecret, mintOperatorToken, parseCredential } from './text.js';

const SEED = 0x5eed_2024;

describe('credential text', () => {
  test('known bytes have one known spelling (format stability, computed outside this code)', () => {
    const secret = Buffer.from('101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f', 'hex');
    const tail = '000M9ODf6X0ft3_3oDH4mEVFvp7u7ED6UzpF5eHPrBI5AHumY7UBpOQIJz';
    const id = '000M9ODf6X0ft3';
    for (const [text, kind, environment] of [
      [`tmk1_live_${tail}2WA33D`, 'apiKey', 'live'],
      [`tmk1_test_${tail}4OPwjF`, 'apiKey', 'test'],
      [`tmo1_${tail}0o0FvS`, 'operatorToken', undefined],
      [`tme1_${tail}2cTK30`, 'enrollmentSecret', undefined],
    ] as const) {
      expect(parseCredential(text)).toEqual({ kind, environment, id, secret, text });
    }
  });

  test('what is minted is read back, has its stated length, and only characters that are safe in a URL', () => {
    for (const [minted, length] of [
      [mintApiKey('live'), 74],
      [mintApiKey('test'), 74],
      [mintOperatorToken(), 69],
      [mintEnrollmentSecret(), 69],
    ] as const) {
      expect(minted.text).toMatch(/^[A-Za-z0-9_]+$/);
      expect(minted.text).toHaveLength(length);
      expect(minted.id).toMatch(/^[0-9A-Za-z]{14}$/);
      expect(minted.secret).toHaveLength(32);
      expect(parseCredential(minted.text)).toEqual(minted);
    }
  });

  test('no two mints share id or secret', () => {
    const minted = Array.from({ length: 2000 }, () => mintApiKey('live'));
    expect(new Set(minted.map(({ id }) => id)).size).toBe(2000);
    expect(new Set(minted.map(({ secret }) => secret.toString('hex'))).size).toBe(2000);
  });

  test('one pair of surrounding double quotes is dropped, nothing else', () => {
    const { text } = mintApiKey('test');
    expect(parseCredential(`"${text}"`)?.text).toBe(text);
    for (const other of [`""${text}""`, `"${text}`, `${text}"`, `'${text}'`, ` ${text}`, `${text}\n`]) {
      expect(parseCredential(other)).toBeUndefined();
    }
  });

  test(`200,000 one-character typos: none is accepted (seed ${SEED})`, () => {
    const random = seeded(SEED);
    const characters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_';
    const originals = [mintApiKey('live'), mintApiKey('test'), mintOperatorToken(), mintEnrollmentSecret()];
    let tried = 0;
    let accepted = 0;
    while (tried < 200_000) {
      const text = originals[tried % originals.length]?.text ?? '';
      const at = random(text.length);
      const typo = characters[random(characters.length)] ?? '';
      if (typo === text[at]) continue;
      tried++;
      if (parseCredential(text.slice(0, at) + typo + text.slice(at + 1)) !== undefined) accepted++;
    }
    expect({ tried, accepted }).toEqual({ tried: 200_000, accepted: 0 });
  });

  test('a lost, doubled or swapped character is refused at every place', () => {
    const { text } = mintApiKey('live');
    for (let at = 0; at < text.length; at++) {
      expect(parseCredential(text.slice(0, at) + text.slice(at + 1))).toBeUndefined();
      expect(parseCredential(text.slice(0, at) + (text[at] ?? '') + text.slice(at))).toBeUndefined();
      if (at + 1 < text.length && text[at] !== text[at + 1]) {
        const swapped = text.slice(0, at) + (text[at + 1] ?? '') + (text[at] ?? '') + text.slice(at + 2);
        expect(parseCredential(swapped)).toBeUndefined();
      }
    }
  });

  test('id and secret beyond 80 and 256 bits are refused though the checksum is right', () => {
    // Checksums computed outside this code over the over-wide values; the largest values that fit are the control.
    expect(parseCredential(WIDEST)?.secret).toEqual(Buffer.alloc(32, 0xff));
    for (const text of OVER_WIDE) expect(parseCredential(text)).toBeUndefined();
  });

  test('a prefix of another kind or environment does not carry over', () => {
    const key = mintApiKey('live').text;
    const token = mintOperatorToken().text;
    expect(parseCredential(key.replace('_live_', '_test_'))).toBeUndefined();
    expect(parseCredential(token.replace('tmo1_', 'tme1_'))).toBeUndefined();
    expect(parseCredential(key.toLowerCase())).toBeUndefined();
  });

  test('strange input is undefined, never an exception', () => {
    for (const text of ['', '"', '""', 'tmk1_live_', '\u0000'.repeat(74), '😀'.repeat(37), 'x'.repeat(1_000_000)]) {
      expect(parseCredential(text)).toBeUndefined();
    }
    expect(parseCredential(`tmk1_live_${'\ud800'.repeat(64)}`)).toBeUndefined();
  });
});

const WIDEST = 'tmk1_live_62iEp5bu9VZbsV_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp114OxVi';

const OVER_WIDE = [
  'tmk1_live_62iEp5bu9VZbsW_00000000000000000000000000000000000000000011GnF56',
  'tmk1_live_zzzzzzzzzzzzzz_00000000000000000000000000000000000000000011DwrIN',
  'tmk1_live_00000000000001_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp22pH8yV',
  'tmk1_live_00000000000001_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz3jD6Zg',
  'tmk1_live_00000000000005_00000000000000000000000000000000000000000078b1wX7',
];

/** Mulberry32: small, seeded, good enough to pick places. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}
