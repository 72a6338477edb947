import { AuthorityError } from '#kernel';
import { appendLeaves, appendTileRoot, readTreeHashes, type Tx } from '#store';
import { rootOfHashes, TILE_WIDTH, type HashReader } from './merkle.js';

/** The hashes of the tree as the transaction sees them. Whole tiles are kept: proofs ask for the same ones. */
export function storedHashes(tx: Tx): HashReader {
  const tiles = new Map<string, readonly Buffer[]>();
  const tile = async (level: number, n: number): Promise<readonly Buffer[]> => {
    const name = `${level}/${n}`;
    const known = tiles.get(name);
    if (known !== undefined) return known;
    const rows = await readTreeHashes(tx, level, n * TILE_WIDTH, TILE_WIDTH);
    const gap = rows.findIndex((row, i) => row.n !== n * TILE_WIDTH + i);
    const hashes = (gap === -1 ? rows : rows.slice(0, gap)).map(({ hash }) => hash);
    tiles.set(name, hashes);
    return hashes;
  };
  return {
    async read(level, from, count) {
      // Subtrees are aligned: none reaches over the edge of a tile.
      const n = Math.floor(from / TILE_WIDTH);
      const found = (await tile(level, n)).slice(from - n * TILE_WIDTH, from - n * TILE_WIDTH + count);
      if (found.length < count) {
        throw treeBroken(`${count} hashes were asked for at level ${level} from ${from} on, ${found.length} are there`);
      }
      return found;
    },
  };
}

/** Leaves from `size` on, with the root of every tile that they fill. The caller holds the sealer's lock. */
export async function growTree(
  tx: Tx,
  size: number,
  eventIds: readonly string[],
  leaves: readonly Buffer[],
): Promise<void> {
  await appendLeaves(tx, size, eventIds, leaves);
  let before = size;
  let after = size + leaves.length;
  for (let level = 1; Math.floor(after / TILE_WIDTH) > Math.floor(before / TILE_WIDTH); level++) {
    before = Math.floor(before / TILE_WIDTH);
    after = Math.floor(after / TILE_WIDTH);
    // A reader of its own: what a tile held before it was full is not what it holds now.
    const reader = storedHashes(tx);
    for (let n = before; n < after; n++) {
      const hashes = await reader.read(level - 1, n * TILE_WIDTH, TILE_WIDTH);
      await appendTileRoot(tx, level, n, rootOfHashes(hashes));
    }
  }
}

export function treeBroken(what: string): AuthorityError {
  return new AuthorityError('internal', `the audit tree is not as it was: ${what}`, { code: 'auditTreeBroken' });
}
