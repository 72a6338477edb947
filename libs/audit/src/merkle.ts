import { hash } from 'node:crypto';
import { AuthorityError } from '#kernel';

export const HASH_BYTES = 32;
/** A tile is a complete subtree of this height (C2SP tlog-tiles). */
export const TILE_HEIGHT = 8;
export const TILE_WIDTH = 256;

/** RFC 6962 section 2.1: the root of the tree without leaves. */
export const EMPTY_ROOT = hash('sha256', '', 'buffer');

/** Stored hashes. Level 0: leaf hashes; level n: roots of full tiles of level n - 1. */
export interface HashReader {
  /** Exactly `count` hashes (at most 256) from `from` on. Throws `internal`, code `auditTreeBroken`, where one is missing. */
  read(level: number, from: number, count: number): Promise<readonly Buffer[]>;
}

const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);

/** RFC 6962 section 2.1: SHA-256(0x00 || data). */
export function leafHash(data: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([LEAF, data]), 'buffer');
}

/** RFC 6962 section 2.1: SHA-256(0x01 || left || right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([NODE, left, right]), 'buffer');
}

/** Root of a tree whose leaves are complete subtrees: of 2^n hashes, side by side. */
export function rootOfHashes(hashes: readonly Buffer[]): Buffer {
  const [first, ...others] = hashes;
  if (first === undefined) return EMPTY_ROOT;
  if (others.length === 0) return first;
  const k = largestPowerBelow(hashes.length);
  return nodeHash(rootOfHashes(hashes.slice(0, k)), rootOfHashes(hashes.slice(k)));
}

/** MTH(D[from:to]) of RFC 6962 section 2.1, where `from` is a multiple of the largest power of two that fits into the range. */
export async function rangeRoot(reader: HashReader, from: number, to: number): Promise<Buffer> {
  const n = to - from;
  if (n === 0) return EMPTY_ROOT;
  const k = largestPowerBelow(n);
  if (k * 2 === n || n === 1) return subtreeRoot(reader, from, n);
  return nodeHash(await subtreeRoot(reader, from, k), await rangeRoot(reader, from + k, to));
}

/** Root of the first `size` leaves. */
export function treeRoot(reader: HashReader, size: number): Promise<Buffer> {
  return rangeRoot(reader, 0, size);
}

/** Of a complete subtree of `width` = 2^n leaves, from the hashes of the highest tiles below it. */
async function subtreeRoot(reader: HashReader, from: number, width: number): Promise<Buffer> {
  let level = 0;
  let unit = 1;
  while (unit * TILE_WIDTH <= width) {
    unit *= TILE_WIDTH;
    level += 1;
  }
  return rootOfHashes(await reader.read(level, from / unit, width / unit));
}

/** RFC 6962 section 2.1.1: PATH(index, D[size]), from the leaf upwards. Throws `invalid` where there is no such leaf. */
export async function inclusionProof(reader: HashReader, index: number, size: number): Promise<Buffer[]> {
  if (index < 0 || index >= size) throw new AuthorityError('invalid', `a tree of ${size} leaves has no leaf ${index}`);
  const path = async (from: number, to: number): Promise<Buffer[]> => {
    if (to - from === 1) return [];
    const middle = from + largestPowerBelow(to - from);
    return index < middle
      ? [...(await path(from, middle)), await rangeRoot(reader, middle, to)]
      : [...(await path(middle, to)), await rangeRoot(reader, from, middle)];
  };
  return path(0, size);
}

/** RFC 6962 section 2.1.2: PROOF(first, D[second]). Empty for equal sizes. Throws `invalid` unless 0 < first <= second. */
export async function consistencyProof(reader: HashReader, first: number, second: number): Promise<Buffer[]> {
  if (first <= 0 || first > second) {
    throw new AuthorityError('invalid', `there is no consistency proof from size ${first} to size ${second}`);
  }
  const subproof = async (from: number, to: number, known: boolean): Promise<Buffer[]> => {
    if (first === to) return known ? [] : [await rangeRoot(reader, from, to)];
    const middle = from + largestPowerBelow(to - from);
    return first <= middle
      ? [...(await subproof(from, middle, known)), await rangeRoot(reader, middle, to)]
      : [...(await subproof(middle, to, false)), await rangeRoot(reader, from, middle)];
  };
  return subproof(0, second, true);
}

/** RFC 9162 section 2.1.3.2, which verifies the proofs of RFC 6962. */
export function verifyInclusion(
  index: number,
  size: number,
  leaf: Buffer,
  proof: readonly Buffer[],
  root: Buffer,
): boolean {
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(index) || index < 0 || index >= size) return false;
  let fn = index;
  let sn = size - 1;
  let r = leaf;
  for (const p of proof) {
    if (sn === 0 || p.length !== HASH_BYTES) return false;
    if (isOdd(fn) || fn === sn) {
      r = nodeHash(p, r);
      while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      r = nodeHash(r, p);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && r.equals(root);
}

/** RFC 9162 section 2.1.4.2. Two trees of one size are consistent when they are the same. */
export function verifyConsistency(
  first: number,
  second: number,
  proof: readonly Buffer[],
  firstRoot: Buffer,
  secondRoot: Buffer,
): boolean {
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(second) || first <= 0 || first > second) return false;
  if (first === second) return proof.length === 0 && firstRoot.equals(secondRoot);
  const path = isPowerOfTwo(first) ? [firstRoot, ...proof] : [...proof];
  const start = path.shift();
  if (proof.length === 0 || start === undefined) return false;
  let fn = first - 1;
  let sn = second - 1;
  while (isOdd(fn)) [fn, sn] = [half(fn), half(sn)];
  let fr = start;
  let sr = start;
  for (const c of path) {
    if (sn === 0 || c.length !== HASH_BYTES) return false;
    if (isOdd(fn) || fn === sn) {
      fr = nodeHash(c, fr);
      sr = nodeHash(c, sr);
      while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      sr = nodeHash(sr, c);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && fr.equals(firstRoot) && sr.equals(secondRoot);
}

/** The root of leaves as they come, in memory that grows with the logarithm of their number. */
export class GrowingTree {
  size = 0;
  /** Roots of complete subtrees, the widest first. */
  private readonly edge: Buffer[] = [];

  add(leaf: Buffer): void {
    let joined = leaf;
    for (let width = this.size; isOdd(width); width = half(width)) joined = nodeHash(this.edge.pop() as Buffer, joined);
    this.edge.push(joined);
    this.size += 1;
  }

  root(): Buffer {
    if (this.edge.length === 0) return EMPTY_ROOT;
    return this.edge.reduceRight((right, left) => nodeHash(left, right));
  }
}

// Sizes may pass 2^31, where bit operators end.
const isOdd = (n: number): boolean => n % 2 === 1;
const half = (n: number): number => Math.floor(n / 2);
const isPowerOfTwo = (n: number): boolean => n === 1 || largestPowerBelow(n) * 2 === n;

/** The largest power of two below `n`; 1 for 1. */
function largestPowerBelow(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}
