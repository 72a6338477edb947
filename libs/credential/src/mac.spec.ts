import { describe, expect, test } from '@jest/globals';
import { createSecretKey, randomBytes } from 'node:crypto';
import { CHAIN_START, chainMac, chainMacRow, rowMac } from './mac.js';
import { encodeFields, encodeParts, rowEncoder } from './fields.js';

type Row = Record<string, string>;
const key = Buffer.alloc(32, 9);
const ROW: Row = { seq: '7', keyId: 'k1', to: 'révoked' };

describe('fields', () => {
  test('their bytes are stable and do not depend on the order of writing', () => {
    const bytes = '000000056b65794964000000026b3100000003736571000000013700000002746f0000000872c3a9766f6b6564';
    expect(encodeFields(ROW).toString('hex')).toBe(bytes);
    expect(encodeFields({ to: 'révoked', keyId: 'k1', seq: '7' }).toString('hex')).toBe(bytes);
  });

  test('the encoder for many rows gives the same bytes in whatever order its names stand', () => {
    const encode = rowEncoder(['to', 'seq', 'keyId']);
    expect(encode(['révoked', '7', 'k1'])).toEqual(encodeFields(ROW));
    for (const values of [
      ['', '', ''],
      ['ü', '', '\u0000'],
      ['😀'.repeat(50), '1', 'x'.repeat(300)],
    ]) {
      const [to = '', seq = '', keyId = ''] = values;
      expect(encode(values)).toEqual(encodeFields({ to, seq, keyId }));
    }
    expect(() => encode(['a', 'b'])).toThrow(/2 values given for 3 fields/);
    expect(() => rowEncoder(['a', 'a'])).toThrow(/given twice/);
  });

  test('no two different lists share their bytes', () => {
    const lists = [[], [''], ['', ''], ['a'], ['a', ''], ['', 'a'], ['ab'], ['a', 'b'], ['\u0000\u0000\u0000\u0001a']];
    expect(new Set(lists.map((list) => encodeParts(list).toString('hex'))).size).toBe(lists.length);
  });

  test('a lone surrogate is refused, since UTF-8 would make different texts equal', () => {
    const malformed = expect.objectContaining({ kind: 'malformed' });
    expect(() => encodeFields({ a: '\ud800' })).toThrow(malformed);
    expect(() => encodeFields({ '\udc00': 'a' })).toThrow(malformed);
    expect(() => rowEncoder(['a'])(['\ud800'])).toThrow(malformed);
  });
});

describe('row MAC', () => {
  test('is stable, and every key, table, name and value changes it', () => {
    const mac = rowMac(key, 'keys', ROW);
    expect(mac.toString('hex')).toBe('c46e0be1f3979ad725fee3cb9a53e790a2a02b3cb766fa0417a6f13f682d3403');
    const others = [
      rowMac(randomBytes(32), 'keys', ROW),
      rowMac(key, 'devices', ROW),
      rowMac(key, 'keys', { ...ROW, to: 'revoked' }),
      rowMac(key, 'keys', { seq: '7', keyId: 'k1' }),
      rowMac(key, 'keys', { ...ROW, more: '' }),
      rowMac(key, 'keys', { seq: 'k1', keyId: '7', to: 'révoked' }),
    ];
    for (const other of others) expect(other).not.toEqual(mac);
  });

  test('is never the MAC of a chain row under the same key', () => {
    expect(chainMac(key, CHAIN_START, ROW)).not.toEqual(rowMac(key, '', ROW));
  });
});

describe('chain MAC', () => {
  const rows = Array.from({ length: 50 }, (_, i): Row => ({ seq: String(i + 1), subject: `k${i % 7}`, to: 'active' }));
  const chained = chain(rows);

  test('is stable, alike for Buffer and KeyObject, alike for fields and encoded row', () => {
    const mac = chainMac(key, CHAIN_START, ROW);
    expect(mac.toString('hex')).toBe('2fe644efabe7af7efd9575e6f2f754d18571429a86df9cbb4c3112eb3c6f322b');
    expect(chainMacRow(createSecretKey(key), CHAIN_START, encodeFields(ROW))).toEqual(mac);
  });

  test('an untouched chain holds to its last row', () => {
    expect(firstBroken(chained)).toBe(-1);
  });

  test('a flipped status is noticed at its row', () => {
    expect(firstBroken(replaced(20, { row: { ...rows[20], to: 'revoked' } }))).toBe(20);
  });

  test('an edited MAC is noticed at its row', () => {
    expect(firstBroken(replaced(20, { mac: randomBytes(32) }))).toBe(20);
  });

  test('a row edited together with its MAC copied from elsewhere is noticed', () => {
    expect(firstBroken(replaced(20, { row: rows[6] ?? {}, mac: chained[6]?.mac ?? CHAIN_START }))).toBe(20);
  });

  test('a missing row is noticed where the next one stands', () => {
    expect(firstBroken(chained.filter((_, i) => i !== 20))).toBe(20);
    expect(firstBroken(chained.slice(1))).toBe(0);
  });

  test('exchanged and repeated rows are noticed', () => {
    const swapped = [...chained];
    [swapped[20], swapped[21]] = [chained[21] ?? never(), chained[20] ?? never()];
    expect(firstBroken(swapped)).toBe(20);
    expect(firstBroken([...chained.slice(0, 21), ...chained.slice(20)])).toBe(21);
  });

  test('another key makes another chain', () => {
    expect(firstBroken(chained, randomBytes(32))).toBe(0);
  });

  test('a previous MAC of the wrong size is refused', () => {
    expect(() => chainMac(key, Buffer.alloc(0), ROW)).toThrow(/32 bytes, not 0/);
  });

  test('a million rows can be walked at start: 100,000 within two seconds', () => {
    const encode = rowEncoder(['seq', 'subject', 'to', 'at', 'reason']);
    const object = createSecretKey(key);
    // Of this thread alone: the wall's time would be that of all that runs beside it.
    const start = process.threadCpuUsage();
    let previous: Buffer = CHAIN_START;
    for (let i = 0; i < 100_000; i++) {
      const row = encode([String(i), '4fzL0aQ9sK2mXb', 'revoked', '2026-01-01T00:00:00.000Z', 'keyCompromise']);
      previous = chainMacRow(object, previous, row);
    }
    const { user, system } = process.threadCpuUsage(start);
    expect((user + system) / 1000).toBeLessThan(2000);
  });

  function replaced(at: number, change: Partial<{ row: Row; mac: Buffer }>): { row: Row; mac: Buffer }[] {
    return chained.map((link, i) => (i === at ? { ...link, ...change } : link));
  }
});

function chain(rows: Row[]): { row: Row; mac: Buffer }[] {
  let previous: Buffer = CHAIN_START;
  return rows.map((row) => {
    previous = chainMac(key, previous, row);
    return { row, mac: previous };
  });
}

/** What a follower does: recompute each MAC from the stored one before it; -1 when all hold. */
function firstBroken(links: { row: Row; mac: Buffer }[], under: Buffer = key): number {
  return links.findIndex(({ row, mac }, i) => !chainMac(under, links[i - 1]?.mac ?? CHAIN_START, row).equals(mac));
}

function never(): never {
  throw new Error('the chain is shorter than the test assumes');
}
