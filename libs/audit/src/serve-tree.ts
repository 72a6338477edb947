import { AuthorityError } from '#kernel';
import { findCheckpoint, findEventLeaf, listCosignatures, readLeaves, type StoredCheckpoint, type Tx } from '#store';
import { parseCheckpoint } from './checkpoint.js';
import { auditLine, missingLine } from './line.js';
import { consistencyProof, inclusionProof, TILE_WIDTH } from './merkle.js';
import { parseNote } from './signed-note.js';
import { storedHashes } from './stored-hashes.js';
import { entryBundle, tileWidth, type Tile } from './tiles.js';

/** A checkpoint as it is shown: the log's signature, and under it those of its witnesses. */
export interface WitnessedCheckpoint {
  size: number;
  note: string;
}

/** The newest checkpoint, or the one of `size`. Throws `notFound` where there is none. */
export async function readCheckpoint(tx: Tx, size?: number): Promise<WitnessedCheckpoint> {
  const found = await findCheckpoint(tx, size);
  if (found === undefined) {
    const what = size === undefined ? 'no checkpoint was signed yet' : `no checkpoint of size ${size} was signed`;
    throw new AuthorityError('notFound', what);
  }
  return withCosignatures(tx, found);
}

async function withCosignatures(tx: Tx, { size, note }: StoredCheckpoint): Promise<WitnessedCheckpoint> {
  const lines = (await listCosignatures(tx, size)).filter(({ line }) => line !== '').map(({ line }) => `${line}\n`);
  return { size, note: note + lines.join('') };
}

export interface InclusionAnswer {
  leafIndex: number;
  treeSize: number;
  leafHash: Buffer;
  /** From the leaf upwards. */
  hashes: Buffer[];
  /** The line that the leaf is the hash of, as the table holds it now. */
  entry: string;
  checkpoint: string;
}

/**
 * That an event is in the tree of the newest checkpoint. Throws `notFound` for an event that the caller does not see,
 * `conflict` with code `notSealed` for one that waits.
 */
export async function proveInclusion(tx: Tx, eventId: string): Promise<InclusionAnswer> {
  const found = await findEventLeaf(tx, eventId);
  if (found === undefined) throw new AuthorityError('notFound', 'no such event');
  const checkpoint = await findCheckpoint(tx);
  const { leafIndex } = found;
  if (checkpoint === undefined || leafIndex === undefined || leafIndex >= checkpoint.size) {
    throw new AuthorityError('conflict', 'the event is not sealed yet: that takes a second', { code: 'notSealed' });
  }
  const reader = storedHashes(tx);
  const [leafHash] = await reader.read(0, leafIndex, 1);
  return {
    leafIndex,
    treeSize: checkpoint.size,
    leafHash: leafHash as Buffer,
    hashes: await inclusionProof(reader, leafIndex, checkpoint.size),
    entry: auditLine(found.event).toString('utf8'),
    checkpoint: (await withCosignatures(tx, checkpoint)).note,
  };
}

/** That the tree of `to` leaves begins with the one of `from`. Throws `invalid` beyond the newest checkpoint. */
export async function proveConsistency(tx: Tx, from: number, to: number): Promise<Buffer[]> {
  await requireSigned(tx, to);
  return consistencyProof(storedHashes(tx), from, to);
}

/** Lines `from` to `to` of the export. The caller sees every organization, or events would be missing. */
export async function readLines(tx: Tx, from: number, to: number): Promise<Buffer[]> {
  const rows = new Map((await readLeaves(tx, from, to)).map((row) => [row.leafIndex, row]));
  return Array.from({ length: to - from }, (_, i) => {
    const row = rows.get(from + i);
    return row?.event === undefined ? missingLine(from + i, row?.eventId) : auditLine(row.event);
  });
}

/** Hashes side by side, or the entries themselves. undefined where the newest checkpoint has no such tile. */
export async function readTile(tx: Tx, tile: Tile): Promise<Buffer | undefined> {
  const size = (await findCheckpoint(tx))?.size ?? 0;
  if (tileWidth(tile, size) < tile.width) return undefined;
  const from = tile.n * TILE_WIDTH;
  if (tile.level === 'entries') return entryBundle(await readLines(tx, from, from + tile.width));
  return Buffer.concat(await storedHashes(tx).read(tile.level, from, tile.width));
}

/** The size to export: the newest checkpoint's, or `wanted` where it was reached. Throws `invalid`, `notFound`. */
export async function exportSize(tx: Tx, wanted: number | undefined): Promise<number> {
  if (wanted === undefined) return parseCheckpoint(parseNote((await readCheckpoint(tx)).note).text).size;
  await requireSigned(tx, wanted);
  return wanted;
}

async function requireSigned(tx: Tx, size: number): Promise<void> {
  const newest = (await findCheckpoint(tx))?.size ?? 0;
  if (size > newest) throw new AuthorityError('invalid', `the newest checkpoint has ${newest} leaves, not ${size}`);
}
