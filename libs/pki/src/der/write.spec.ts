import { describe, expect, it } from '@jest/globals';
import { DerReader } from './read.js';
import { der, derHeader } from './write.js';

const open = (element: Buffer): DerReader =>
  DerReader.open(element, 'test', { maxBytes: 1 << 25, maxDepth: 4, maxNodes: 100 });

describe('the DER writer', () => {
  it.each([0n, 1n, 127n, 128n, 255n, 256n, -1n, -128n, -129n, 2n ** 63n, -(2n ** 63n), 2n ** 127n, 2n ** 159n - 1n])(
    'writes INTEGER %s minimally, and the reader returns it',
    (value) => {
      expect(open(der.integer(value)).bigint()).toBe(value);
    },
  );

  it('writes the X.690 examples of INTEGER', () => {
    expect(der.integer(128).toString('hex')).toBe('02020080');
    expect(der.integer(-128).toString('hex')).toBe('020180');
    expect(der.integer(0).toString('hex')).toBe('020100');
    expect(der.integer(Buffer.from('0000ff', 'hex')).toString('hex')).toBe('020200ff');
  });

  it.each([0, 1, 127, 128, 255, 256, 65_535, 65_536, 16_777_215, 16_777_216])(
    'writes a length of %d in its shortest form',
    (length) => {
      const element = der.octetString(Buffer.alloc(length));
      expect(open(element).octetString().length).toBe(length);
      expect(element.subarray(0, element.length - length)).toEqual(derHeader(0x04, length));
    },
  );

  it.each([
    '0.0',
    '1.39',
    '2.0',
    '2.47',
    '2.48',
    '2.999',
    '1.2.840.113549.1.1.11',
    '2.25.340282366920938463463374607431768211375',
    '2.25.140406954874491635931932553588827024410',
    '1.3.6.1.4.1.340282366920938463463374607431768211375.7',
  ])('object identifier %s round-trips, arcs of 128 bits included', (oid) => {
    expect(open(der.oid(oid)).oid()).toBe(oid);
  });

  it('writes the X.690 example of an object identifier', () => {
    expect(der.oid('2.100.3').toString('hex')).toBe('0603813403');
    expect(der.oid('1.2.840.113549').toString('hex')).toBe('06062a864886f70d');
  });

  it.each(['', '1', '3.1', '1.40', '1.2.', '1.02', 'a.b', `2.25.${2n ** 129n}`])(
    'refuses %p as an object identifier',
    (text) => {
      expect(() => der.oid(text)).toThrow(RangeError);
    },
  );

  it('refuses an arc above 128 bits on input', () => {
    const arc = Buffer.concat([Buffer.from('69', 'hex'), Buffer.alloc(18, 0xff), Buffer.from('7f', 'hex')]);
    expect(() => open(der.tagged(0x06, arc)).oid()).toThrow(/OBJECT IDENTIFIER/);
  });

  it.each([
    ['1949-12-31T23:59:59Z', 0x18, '19491231235959Z'],
    ['1950-01-01T00:00:00Z', 0x17, '500101000000Z'],
    ['2049-12-31T23:59:59Z', 0x17, '491231235959Z'],
    ['2050-01-01T00:00:00Z', 0x18, '20500101000000Z'],
    ['9999-12-31T23:59:59Z', 0x18, '99991231235959Z'],
    ['2028-02-29T12:34:56Z', 0x17, '280229123456Z'],
  ])('writes %s by the split of RFC 5280 (X05, X07)', (iso, tag, text) => {
    const element = der.time(new Date(iso));
    expect(element[0]).toBe(tag);
    expect(element.subarray(2).toString('latin1')).toBe(text);
    expect(open(element).time()).toEqual(new Date(iso));
  });

  it('drops fractions of a second', () => {
    expect(open(der.time(new Date('2030-01-01T00:00:00.999Z'))).time()).toEqual(new Date('2030-01-01T00:00:00Z'));
  });

  it('sorts SET OF by encoding, a prefix first', () => {
    const parts = [
      der.octetString(Buffer.from('b')),
      der.integer(300),
      der.octetString(Buffer.from('a')),
      der.integer(1),
    ];
    expect(der.setOf(...parts).toString('hex')).toBe('310d' + '020101' + '0202012c' + '040161' + '040162');
  });

  it('trims named bits', () => {
    expect(der.namedBits([0]).toString('hex')).toBe('03020780');
    expect(der.namedBits([5, 6]).toString('hex')).toBe('03020106');
    expect(der.namedBits([4, 8]).toString('hex')).toBe('0303070880');
    expect(der.namedBits([]).toString('hex')).toBe('030100');
  });

  it('refuses text that its string type cannot hold', () => {
    expect(() => der.printableString('a@b')).toThrow(RangeError);
    expect(() => der.ia5String('é')).toThrow(RangeError);
  });
});
