import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  consistencyProof,
  EMPTY_ROOT,
  GrowingTree,
  inclusionProof,
  leafHash,
  nodeHash,
  rootOfHashes,
  TILE_WIDTH,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
  type HashReader,
} from './merkle.js';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

/** The reference tree of Certificate Transparency (merkle_tree_test), from which the roots and proofs below come. */
const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
].map(hex);

/** As the database keeps them: leaves, and roots of full tiles above. */
function stored(leaves: readonly Buffer[]): HashReader {
  const levels: Buffer[][] = [[...leaves]];
  for (let below = levels[0]!; below.length >= TILE_WIDTH; below = levels.at(-1)!) {
    const full = Math.floor(below.length / TILE_WIDTH);
    levels.push(Array.from({ length: full }, (_, n) => simpleRoot(below.slice(n * TILE_WIDTH, (n + 1) * TILE_WIDTH))));
  }
  return {
    async read(level, from, count) {
      const found = (levels[level] ?? []).slice(from, from + count);
      if (found.length !== count || count > TILE_WIDTH) throw new Error(`${level} ${from} ${count}`);
      return found;
    },
  };
}

/** MTH as RFC 6962 section 2.1 writes it down. */
function simpleRoot(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return EMPTY_ROOT;
  if (leaves.length === 1) return leaves[0]!;
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return nodeHash(simpleRoot(leaves.slice(0, k)), simpleRoot(leaves.slice(k)));
}

const someLeaves = (n: number): Buffer[] => Array.from({ length: n }, (_, i) => leafHash(Buffer.from(`leaf ${i}`)));

describe('the reference tree', () => {
  const leaves = LEAVES.map((data) => leafHash(hex(data)));

  test('the empty tree has the hash of nothing', () => {
    expect(EMPTY_ROOT.toString('hex')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });

  test.each(ROOTS.map((root, i) => [i + 1, root] as const))(
    'has its root at size %i, read, grown and joined',
    async (size, root) => {
      expect(await treeRoot(stored(leaves), size)).toEqual(root);
      const tree = new GrowingTree();
      for (const leaf of leaves.slice(0, size)) tree.add(leaf);
      expect([tree.size, tree.root()]).toEqual([size, root]);
      expect(rootOfHashes(leaves.slice(0, size))).toEqual(root);
    },
  );

  test.each([
    [0, 1, []],
    [0, 2, ['96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7']],
    [2, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
    [
      1,
      5,
      [
        '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
        '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
        'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      ],
    ],
    [
      5,
      8,
      [
        'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
        'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
        'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
      ],
    ],
  ])('has the inclusion proof of leaf %i at size %i', async (index, size, proof) => {
    expect(await inclusionProof(stored(leaves), index, size)).toEqual(proof.map(hex));
    expect(verifyInclusion(index, size, leaves[index]!, proof.map(hex), ROOTS[size - 1]!)).toBe(true);
  });

  test.each([
    [1, 1, []],
    [
      1,
      8,
      [
        '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
        '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
        '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
      ],
    ],
    [
      6,
      8,
      [
        '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
        'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
        'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
      ],
    ],
    [
      2,
      5,
      [
        '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
        'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      ],
    ],
  ])('has the consistency proof from %i to %i', async (first, second, proof) => {
    expect(await consistencyProof(stored(leaves), first, second)).toEqual(proof.map(hex));
    expect(verifyConsistency(first, second, proof.map(hex), ROOTS[first - 1]!, ROOTS[second - 1]!)).toBe(true);
  });
});

describe('every tree', () => {
  test('of up to 40 leaves: each proof holds, and none with a hash altered, missing or too many', async () => {
    const leaves = someLeaves(40);
    const reader = stored(leaves);
    const roots = leaves.map((_, i) => simpleRoot(leaves.slice(0, i + 1)));
    for (let size = 1; size <= leaves.length; size++) {
      const root = roots[size - 1]!;
      for (let i = 0; i < size; i++) {
        const proof = await inclusionProof(reader, i, size);
        expect(verifyInclusion(i, size, leaves[i]!, proof, root)).toBe(true);
        expect(verifyInclusion(i, size, leafHash(Buffer.from('x')), proof, root)).toBe(false);
        if (size > 1) expect(verifyInclusion((i + 1) % size, size, leaves[i]!, proof, root)).toBe(false);
        for (const bad of spoiled(proof)) expect(verifyInclusion(i, size, leaves[i]!, bad, root)).toBe(false);
      }
      for (let first = 1; first <= size; first++) {
        const proof = await consistencyProof(reader, first, size);
        expect(verifyConsistency(first, size, proof, roots[first - 1]!, root)).toBe(true);
        expect(verifyConsistency(first, size, proof, leafHash(Buffer.from('x')), root)).toBe(false);
        expect(verifyConsistency(first, size, proof, roots[first - 1]!, leafHash(Buffer.from('x')))).toBe(false);
        for (const bad of spoiled(proof)) {
          expect(verifyConsistency(first, size, bad, roots[first - 1]!, root)).toBe(false);
        }
      }
    }
  });

  test('that fills tiles of two levels: roots and proofs come from stored tile roots', async () => {
    const leaves = someLeaves(TILE_WIDTH * TILE_WIDTH + 700);
    const reader = stored(leaves);
    const tree = new GrowingTree();
    const roots = leaves.map((leaf) => {
      tree.add(leaf);
      return tree.size > 65_000 || tree.size % 97 === 0 ? tree.root() : undefined;
    });
    const known = roots.flatMap((root, i) => (root === undefined ? [] : [i + 1]));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...known), fc.constantFrom(...known), fc.nat(), async (a, b, at) => {
        const [first, second] = [Math.min(a, b), Math.max(a, b)];
        expect(await treeRoot(reader, second)).toEqual(roots[second - 1]);
        const proof = await consistencyProof(reader, first, second);
        expect(verifyConsistency(first, second, proof, roots[first - 1]!, roots[second - 1]!)).toBe(true);
        const index = at % second;
        const path = await inclusionProof(reader, index, second);
        expect(verifyInclusion(index, second, leaves[index]!, path, roots[second - 1]!)).toBe(true);
      }),
      { numRuns: 200, seed: 6962 },
    );
  });

  test('has no proof of what is not in it', async () => {
    const reader = stored(someLeaves(3));
    await expect(inclusionProof(reader, 3, 3)).rejects.toMatchObject({ kind: 'invalid' });
    await expect(consistencyProof(reader, 0, 3)).rejects.toMatchObject({ kind: 'invalid' });
    await expect(consistencyProof(reader, 3, 2)).rejects.toMatchObject({ kind: 'invalid' });
    expect(verifyInclusion(1, 1, leafHash(Buffer.from('')), [], ROOTS[0]!)).toBe(false);
    expect(verifyInclusion(-1, 1, leafHash(Buffer.from('')), [], ROOTS[0]!)).toBe(false);
    expect(verifyConsistency(0, 1, [], EMPTY_ROOT, ROOTS[0]!)).toBe(false);
  });
});

function spoiled(proof: readonly Buffer[]): Buffer[][] {
  const extra = [...proof, leafHash(Buffer.from('x'))];
  const altered = proof.map((one, i) => proof.map((hash, j) => (i === j ? leafHash(one) : hash)));
  return [extra, ...altered, ...(proof.length > 0 ? [proof.slice(1), proof.slice(0, -1)] : [])];
}
