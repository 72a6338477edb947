import { hash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { AuthorityError } from '#kernel';

const LIST = path.join('data', 'weak-keys', 'debian-rsa.bin');
const BUCKETS = 65_536;
const REST_OCTETS = 4;

interface DebianKeys {
  /** Where the digests of a bucket begin, counted in digests; one more at the end. */
  starts: Uint32Array;
  rests: Buffer;
}

let loaded: DebianKeys | undefined;

/**
 * Whether Debian's OpenSSL of 2006 to 2008 made this modulus (CVE-2008-0166), by data/weak-keys/README.md: 2048 and 4096 bits. The
 * list is read once, when it is first asked. Throws AuthorityError 'internal' where it is missing.
 */
export function isDebianModulus(modulus: bigint): boolean {
  const { starts, rests } = (loaded ??= load());
  const digest = hash('sha1', `Modulus=${modulus.toString(16).toUpperCase()}\n`, 'buffer').subarray(10, 16);
  const bucket = digest.readUInt16BE(0);
  const rest = digest.readUInt32BE(2);
  for (let at = starts[bucket] as number; at < (starts[bucket + 1] as number); at++) {
    if (rests.readUInt32BE(at * REST_OCTETS) === rest) return true;
  }
  return false;
}

function load(): DebianKeys {
  const bytes = readFileSync(findList());
  const starts = new Uint32Array(BUCKETS + 1);
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    starts[bucket + 1] = (starts[bucket] as number) + (bytes[bucket] as number);
  }
  const rests = bytes.subarray(BUCKETS);
  if (rests.length !== (starts[BUCKETS] as number) * REST_OCTETS) {
    throw new AuthorityError('internal', `${LIST} is broken; install it again`);
  }
  return { starts, rests };
}

/** The first one found above this file, both in the sources and in the built tree. */
function findList(): string {
  for (let dir = path.dirname(fileURLToPath(import.meta.url)); ; dir = path.dirname(dir)) {
    const candidate = path.join(dir, LIST);
    if (existsSync(candidate)) return candidate;
    if (dir === path.dirname(dir)) throw new AuthorityError('internal', `${LIST} is missing; install it again`);
  }
}
