import { describe, expect, it } from '@jest/globals';
import { isAuthorityError } from '#kernel';
import { DEFAULT_LIMITS, DerReader } from './read.js';
import { walkDer } from './walk.js';
import { der } from './write.js';

const bytes = (hex: string): Buffer => Buffer.from(hex.replace(/ /g, ''), 'hex');

function kindOf(action: () => unknown): string {
  try {
    action();
    return 'read';
  } catch (error) {
    return isAuthorityError(error) ? error.kind : `other: ${String(error)}`;
  }
}

/** Reads one element by its type, as a caller would, and wants the end behind it. */
function readOne(input: Buffer): void {
  const reader = DerReader.open(input, 'test');
  const readers: Record<number, () => unknown> = {
    0x01: () => reader.boolean(),
    0x02: () => reader.integer(),
    0x03: () => reader.bitString(),
    0x05: () => reader.null(),
    0x06: () => reader.oid(),
    0x0c: () => reader.text(),
    0x13: () => reader.text(),
    0x17: () => reader.time(),
    0x18: () => reader.time(),
  };
  (readers[reader.peekTag()] ?? (() => reader.element()))();
  reader.finish();
}

const NOT_DER: [string, string][] = [
  ['nothing at all', ''],
  ['a tag alone', '30'],
  ['content cut short (EX02)', '30 05 02 01'],
  ['octets behind the end (EX03)', '05 00 00'],
  ['an indefinite length (EX03)', '30 80 05 00 00 00'],
  ['a long form for a short length', '04 81 01 00'],
  ['a leading zero in the length', '04 82 00 80'],
  ['a length of five octets (EX07)', '04 85 01 00 00 00 00'],
  ['a length of 4 GiB (EX07)', '04 84 ff ff ff ff 00'],
  ['a reserved length octet', '04 ff 00'],
  ['a tag of two octets', '1f 81 01 00'],
  ['a BOOLEAN that is neither 00 nor ff', '01 01 01'],
  ['an empty INTEGER', '02 00'],
  ['a padded INTEGER', '02 02 00 7f'],
  ['a padded negative INTEGER', '02 02 ff 80'],
  ['a NULL with content', '05 01 00'],
  ['an empty OBJECT IDENTIFIER', '06 00'],
  ['an OBJECT IDENTIFIER that ends inside an arc', '06 02 2a 86'],
  ['an OBJECT IDENTIFIER with a padded arc', '06 03 2a 80 01'],
  ['an empty BIT STRING', '03 00'],
  ['a BIT STRING with eight unused bits', '03 02 08 00'],
  ['a BIT STRING with set padding bits', '03 02 01 01'],
  ['an empty BIT STRING with unused bits', '03 01 01'],
  ['invalid UTF-8', '0c 02 c3 28'],
  ['an overlong UTF-8 NUL', '0c 02 c0 80'],
  ['a PrintableString beyond ASCII', '13 01 e9'],
  ['a UTCTime without seconds', `17 0b ${Buffer.from('3001010000Z').toString('hex')}`],
  ['a UTCTime with an offset', `17 11 ${Buffer.from('300101000000+0100').toString('hex')}`],
  ['the 30th of February', `17 0d ${Buffer.from('300230000000Z').toString('hex')}`],
  ['a leap second', `17 0d ${Buffer.from('301231235960Z').toString('hex')}`],
  ['a GeneralizedTime with a fraction', `18 11 ${Buffer.from('20500101000000.5Z').toString('hex')}`],
];

describe('the DER reader', () => {
  it.each(NOT_DER)('refuses %s as malformed', (_, hex) => {
    expect(kindOf(() => readOne(bytes(hex)))).toBe('malformed');
  });

  it.each(NOT_DER)('finds %s in a walk too, also deep inside', (_, hex) => {
    expect(kindOf(() => walkDer(bytes(hex), 'test'))).toBe('malformed');
    const deep = der.sequence(der.constructed(0, der.sequence(der.null(), bytes(hex))));
    expect(kindOf(() => walkDer(deep, 'test'))).toBe(hex === '' ? 'read' : 'malformed');
  });

  it('refuses constructed strings in a walk', () => {
    expect(kindOf(() => walkDer(bytes('24 04 04 02 01 02'), 'test'))).toBe('malformed');
  });

  it('reads the wrong type as malformed, never as another value', () => {
    const wrong = [
      (reader: DerReader) => reader.sequence(),
      (reader: DerReader) => reader.oid(),
      (reader: DerReader) => reader.boolean(),
      (reader: DerReader) => reader.time(),
      (reader: DerReader) => reader.text(),
      (reader: DerReader) => reader.generalizedTime(),
    ];
    for (const read of wrong) expect(kindOf(() => read(DerReader.open(der.integer(5), 'test')))).toBe('malformed');
    expect(kindOf(() => DerReader.open(Buffer.alloc(0), 'test').integer())).toBe('malformed');
  });

  it('stops at its ceilings of octets, depth and elements (EX07)', () => {
    let nested = der.null();
    for (let i = 0; i < 2_000; i++) nested = der.sequence(nested);
    expect(kindOf(() => walkDer(nested, 'test'))).toBe('malformed');
    expect(
      kindOf(() => {
        for (let reader = DerReader.open(nested, 'test'); ;) reader = reader.sequence();
      }),
    ).toBe('malformed');

    const wide = der.sequence(...Array.from({ length: DEFAULT_LIMITS.maxNodes + 1 }, () => der.null()));
    expect(kindOf(() => walkDer(wide, 'test'))).toBe('malformed');
    expect(
      kindOf(() => {
        const reader = DerReader.open(wide, 'test').sequence();
        while (!reader.done) reader.null();
      }),
    ).toBe('malformed');

    const long = der.octetString(Buffer.alloc(65_536));
    expect(kindOf(() => walkDer(long, 'test'))).toBe('tooLarge');
    expect(kindOf(() => DerReader.open(long, 'test'))).toBe('tooLarge');
  });

  it('judges a bomb of 64 KiB in bounded time', () => {
    const bomb = Buffer.from('3080'.repeat(32_768), 'hex');
    const deepest = Buffer.concat(Array.from({ length: 16_000 }, () => Buffer.from([0x30, 0x84, 0, 1])));
    const before = process.hrtime.bigint();
    for (const input of [bomb, deepest]) expect(kindOf(() => walkDer(input, 'test'))).toBe('malformed');
    expect(Number(process.hrtime.bigint() - before) / 1e6).toBeLessThan(50);
  });

  it('reads optional context tags only where they stand', () => {
    const reader = DerReader.open(
      Buffer.concat([der.primitive(0, bytes('aa')), der.constructed(1, der.integer(7))]),
      'test',
    );
    expect(reader.optionalContext(0)).toBeUndefined();
    expect(reader.optionalContextBytes(0)?.toString('hex')).toBe('aa');
    expect(reader.optionalContext(1)?.smallInteger()).toBe(7);
    expect(reader.done).toBe(true);
  });
});
