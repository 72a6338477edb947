import { AuthorityError } from '#kernel';
import { TILE_WIDTH } from './merkle.js';

/** C2SP tlog-tiles: 256 hashes side by side at one level, or the entries (`entries`) under a tile of level 0. */
export interface Tile {
  level: number | 'entries';
  /** Index within the level. */
  n: number;
  /** 1 to 255 for a partial tile, 256 for a full one. */
  width: number;
}

const MAX_LEVEL = 7;
const MAX_ENTRY_BYTES = 0xffff;
const PATH = /^(entries|0|[1-9]\d?)\/((?:x\d{3}\/){0,4}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;

/** `tile/<L>/<N>[.p/<W>]`. */
export function tilePath({ level, n, width }: Tile): string {
  const digits = String(n);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0');
  const parts = padded.match(/\d{3}/g) ?? [];
  const index = parts.map((part, i) => (i < parts.length - 1 ? `x${part}` : part)).join('/');
  return `tile/${level}/${index}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** Of what follows `tile/`; undefined for a path that no tile has. */
export function parseTilePath(path: string): Tile | undefined {
  const [, levelText, index, widthText] = PATH.exec(path) ?? [];
  if (levelText === undefined || index === undefined) return undefined;
  const level = levelText === 'entries' ? levelText : Number(levelText);
  const n = Number(index.replace(/[x/]/g, ''));
  const width = widthText === undefined ? TILE_WIDTH : Number(widthText);
  if ((level !== 'entries' && level > MAX_LEVEL) || width > TILE_WIDTH) return undefined;
  if (widthText !== undefined && width === TILE_WIDTH) return undefined;
  // One path per tile: 000/001 and x000/001 are not other names of 001.
  const tile: Tile = { level, n, width };
  return tilePath(tile) === `tile/${path}` ? tile : undefined;
}

/** How many hashes of a tile there are in a tree of `size` leaves, 256 at most. */
export function tileWidth({ level, n }: Pick<Tile, 'level' | 'n'>, size: number): number {
  const unit = level === 'entries' ? 1 : TILE_WIDTH ** level;
  return Math.max(0, Math.min(TILE_WIDTH, Math.floor(size / unit) - n * TILE_WIDTH));
}

/** Entries, each behind its length in two bytes. Throws `tooLarge` for one that this form cannot hold. */
export function entryBundle(entries: readonly Uint8Array[]): Buffer {
  const parts = entries.flatMap((entry) => {
    if (entry.length > MAX_ENTRY_BYTES) throw new AuthorityError('tooLarge', 'an entry has more than 65,535 bytes');
    const length = Buffer.alloc(2);
    length.writeUInt16BE(entry.length);
    return [length, entry];
  });
  return Buffer.concat(parts);
}
