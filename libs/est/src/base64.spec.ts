import { describe, expect, test } from '@jest/globals';
import { hash, randomBytes } from 'node:crypto';
import { decodeBody, encodeBody, lineForm, MAX_BODY_BYTES } from './base64.js';

const SEED = 'base64-2024';

const malformed = (text: RegExp) => expect.objectContaining({ kind: 'malformed', detail: expect.stringMatching(text) });
const decode = (text: string) => decodeBody(Buffer.from(text, 'latin1'));

describe('request bodies', () => {
  test('E20: base64 of every length comes back', () => {
    for (let size = 1; size < 300; size++) {
      const der = randomBytes(size);
      expect(decode(der.toString('base64')).equals(der)).toBe(true);
    }
  });

  test('E22: SP, TAB, CR and LF are skipped anywhere, the padding included', () => {
    const der = randomBytes(64);
    const text = der.toString('base64');
    expect(decode(text.replace(/./g, '$& \t\r\n')).equals(der)).toBe(true);
    expect(decode(`\r\n  ${text}\r\n\r\n`).equals(der)).toBe(true);
    expect(decode('YQ = \n =').toString()).toBe('a');
    expect(decode(encodeBody(der, 'columns64').toString()).equals(der)).toBe(true);
  });

  test('EX01: characters outside the alphabet are refused, other white space and base64url included', () => {
    for (const character of ['!', '-', '_', '.', ',', '"', '\v', '\f', '\u0000', '\u00a0', '\u00ff']) {
      expect(() => decode(`YWJj${character}YWJj`)).toThrow(malformed(/alphabet of RFC 4648 section 4 at byte 4/));
    }
  });

  test('EX01: missing, surplus and misplaced padding is refused', () => {
    for (const text of ['YQ', 'YQ=', 'YQ===', 'YWI', 'YWI==', 'YWJj=', 'Y', 'Y===', '=', '====', 'YWJjY']) {
      expect(() => decode(text)).toThrow(malformed(/padding is wrong/));
    }
    for (const text of ['YQ==YQ==', 'Y=Q=', '=YWJ']) {
      expect(() => decode(text)).toThrow(malformed(/after its padding/));
    }
  });

  test('one byte string has one spelling: bits left over must be zero', () => {
    expect(decode('YQ==').toString()).toBe('a');
    expect(() => decode('YR==')).toThrow(malformed(/not zero/));
    expect(decode('YWI=').toString()).toBe('ab');
    expect(() => decode('YWJ=')).toThrow(malformed(/not zero/));
  });

  test(`whatever is accepted equals what Node reads, and encodes back to the same text (10,000 texts, seed ${SEED})`, () => {
    const alphabet = 'AQZagw09+/==  \n-';
    let accepted = 0;
    for (let i = 0; i < 10_000; i++) {
      const text = Array.from(
        hash('sha256', `${SEED}:${i}`, 'buffer').subarray(0, 1 + (i % 12)),
        (byte) => alphabet[byte & 15],
      ).join('');
      const canonical = text.replace(/[ \n]/g, '');
      const valid = canonical !== '' && Buffer.from(canonical, 'base64').toString('base64') === canonical;
      let der: Buffer | undefined;
      try {
        der = decode(text);
      } catch {
        der = undefined;
      }
      expect([text, der?.toString('base64')]).toEqual([text, valid ? canonical : undefined]);
      if (valid) accepted++;
    }
    expect(accepted).toBeGreaterThan(100);
  });

  test('EX05: an empty body is refused, also one of white space', () => {
    for (const text of ['', ' ', '\r\n']) expect(() => decode(text)).toThrow(malformed(/is empty/));
  });

  test('E24: PEM is refused with a text that says so', () => {
    const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${randomBytes(60).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    expect(() => decode(pem)).toThrow(malformed(/is PEM; send the base64/));
  });

  test('E20: raw DER is refused with a text that says so', () => {
    expect(() => decodeBody(Buffer.from('3082010a0282', 'hex'))).toThrow(malformed(/raw DER/));
  });

  test('EX06: 64 KiB are read, one byte more is too large', () => {
    expect(decodeBody(Buffer.alloc(MAX_BODY_BYTES, 'A'))).toHaveLength(49_152);
    const tooLarge = expect.objectContaining({ kind: 'tooLarge' });
    expect(() => decodeBody(Buffer.alloc(MAX_BODY_BYTES + 1, 'A'))).toThrow(tooLarge);
  });
});

describe('answers', () => {
  test('E23a: one line ends with one newline, columns hold 64 characters at most', () => {
    for (const size of [1, 47, 48, 49, 96, 1000]) {
      const der = randomBytes(size);
      expect(encodeBody(der, 'oneLine').toString()).toBe(`${der.toString('base64')}\n`);
      const columns = encodeBody(der, 'columns64').toString();
      expect(columns.replaceAll('\n', '')).toBe(der.toString('base64'));
      const lines = columns.split('\n');
      expect(lines.pop()).toBe('');
      expect(lines.slice(0, -1).every((line) => line.length === 64)).toBe(true);
      expect(lines.at(-1)?.length).toBeGreaterThan(0);
      expect(lines.at(-1)?.length).toBeLessThanOrEqual(64);
    }
  });

  test('E23a: libest, under each of its names, gets columns; everyone else one line', () => {
    for (const agent of [
      'libest client 1.0',
      'libest 3.2.0',
      'Cisco EST client 1.0',
      'Cisco EST client 2.0 with BRSKI',
    ]) {
      expect(lineForm('auto', agent)).toBe('columns64');
    }
    for (const agent of [undefined, '', 'strongSwan/5.9.8', 'curl/8.5.0', 'not libest']) {
      expect(lineForm('auto', agent)).toBe('oneLine');
    }
  });
});
