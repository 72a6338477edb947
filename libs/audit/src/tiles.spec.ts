import { describe, expect, test } from '@jest/globals';
import { entryBundle, parseTilePath, tilePath, tileWidth } from './tiles.js';

describe('tile paths (C2SP tlog-tiles)', () => {
  test.each([
    [{ level: 0, n: 1_234_067, width: 256 }, 'tile/0/x001/x234/067'],
    [{ level: 0, n: 273, width: 112 }, 'tile/0/273.p/112'],
    [{ level: 2, n: 0, width: 1 }, 'tile/2/000.p/1'],
    [{ level: 'entries' as const, n: 1000, width: 256 }, 'tile/entries/x001/000'],
  ])('%j is %s, and back', (tile, path) => {
    expect(tilePath(tile)).toBe(path);
    expect(parseTilePath(path.slice('tile/'.length))).toEqual(tile);
  });

  test.each([
    '0/0',
    '0/00',
    '0/0000',
    '00/000',
    '8/000',
    '64/000',
    '-1/000',
    '0/x000/001',
    '0/001/002',
    '0/x001/x002',
    '0/000.p/0',
    '0/000.p/256',
    '0/000.p/01',
    '0/000.p/',
    '0/000/',
    '../0/000',
    'data/000',
    '0/000?x',
  ])('%s is the path of none', (path) => {
    expect(parseTilePath(path)).toBeUndefined();
  });

  test('the tree of 70,000 leaves has the tiles that the text tells', () => {
    expect(tileWidth({ level: 0, n: 272 }, 70_000)).toBe(256);
    expect(tileWidth({ level: 0, n: 273 }, 70_000)).toBe(112);
    expect(tileWidth({ level: 0, n: 274 }, 70_000)).toBe(0);
    expect(tileWidth({ level: 1, n: 0 }, 70_000)).toBe(256);
    expect(tileWidth({ level: 1, n: 1 }, 70_000)).toBe(17);
    expect(tileWidth({ level: 2, n: 0 }, 70_000)).toBe(1);
    expect(tileWidth({ level: 'entries', n: 273 }, 70_000)).toBe(112);
  });

  test('an entry bundle holds each entry behind its length', () => {
    const bundle = entryBundle([Buffer.from('ab'), Buffer.alloc(0), Buffer.from('c')]);
    expect(bundle.toString('hex')).toBe('0002616200000001' + '63');
    expect(() => entryBundle([Buffer.alloc(65_536)])).toThrow(expect.objectContaining({ kind: 'tooLarge' }));
  });
});
