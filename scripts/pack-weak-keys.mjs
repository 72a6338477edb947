// Makes data/weak-keys/debian-rsa.bin out of the lists of Debian's packages openssl-blacklist and openssl-blacklist-extra:
//   node scripts/pack-weak-keys.mjs blacklist.RSA-2048 blacklist.RSA-4096
// The format is told in data/weak-keys/README.md.
import { readFileSync, writeFileSync } from 'node:fs';

const BUCKETS = 65_536;
const OCTETS = 6;

const digests = process.argv
  .slice(2)
  .flatMap((file) => readFileSync(file, 'latin1').split('\n'))
  .filter((line) => /^[0-9a-f]{20}$/.test(line))
  .map((line) => line.slice(0, OCTETS * 2))
  .sort();
const unique = digests.filter((digest, i) => digest !== digests[i - 1]);
const counts = Buffer.alloc(BUCKETS);
for (const digest of unique) {
  const bucket = Number.parseInt(digest.slice(0, 4), 16);
  if (counts[bucket] === 255) throw new Error(`bucket ${bucket} is full`);
  counts[bucket] += 1;
}
const rests = Buffer.from(unique.map((digest) => digest.slice(4)).join(''), 'hex');
writeFileSync(new URL('../data/weak-keys/debian-rsa.bin', import.meta.url), Buffer.concat([counts, rests]));
process.stdout.write(`${unique.length} keys\n`);
