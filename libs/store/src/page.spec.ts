import { describe, expect, test } from '@jest/globals';
import { decodeCursor, encodeCursor, toPage } from './page.js';

const UUID = '01900000-0000-7000-8000-000000000001';
const malformed = expect.objectContaining({ kind: 'malformed', member: 'cursor' });

test('a cursor comes back as the parts it was made of', () => {
  expect(decodeCursor(encodeCursor([UUID]), ['uuid'])).toEqual([UUID]);
  expect(decodeCursor(encodeCursor(['1763700000000001', '01ab']), ['number', 'serial'])).toEqual([
    '1763700000000001',
    '01ab',
  ]);
});

describe('a cursor that no list returned is refused before it reaches the database', () => {
  test.each<[string, string]>([
    ['nothing', ''],
    ['no base64', '***'],
    ['no JSON', Buffer.from('x').toString('base64url')],
    ['no list', Buffer.from('"x"').toString('base64url')],
    ['too few parts', encodeCursor([])],
    ['too many parts', encodeCursor([UUID, UUID])],
    ['a number instead of a text', Buffer.from('[1]').toString('base64url')],
    ['null', Buffer.from('[null]').toString('base64url')],
    ['a text that is no UUID', encodeCursor(['x'])],
    ['a UUID with more behind it', encodeCursor([`${UUID}\n`])],
    ['SQL', encodeCursor(["' or true --"])],
  ])('%s', (_, cursor) => {
    expect(() => decodeCursor(cursor, ['uuid'])).toThrow(malformed);
  });

  test.each([
    ['number', ['-1', '1.5', '9'.repeat(18), '1e3']],
    ['serial', ['0', 'AB', 'ab'.repeat(21), 'zz']],
    ['credential', ['short', '0123456789abc!']],
  ] as const)('no %s', (form, texts) => {
    for (const text of texts) expect(() => decodeCursor(encodeCursor([text]), [form])).toThrow(malformed);
  });
});

describe('a page', () => {
  const rows = [5, 4, 3, 2, 1].map((n) => ({ n }));
  const key = (row: { n: number }) => [String(row.n)];

  test('is cut to its limit and points behind its last row', () => {
    const page = toPage(rows.slice(0, 3), 2, key);
    expect(page.items).toEqual([{ n: 5 }, { n: 4 }]);
    expect(decodeCursor(page.nextCursor!, ['number'])).toEqual(['4']);
  });

  test('that holds all there is has no next one', () => {
    expect(toPage(rows, 5, key)).toEqual({ items: rows, nextCursor: null });
    expect(toPage([], 5, key)).toEqual({ items: [], nextCursor: null });
  });
});
