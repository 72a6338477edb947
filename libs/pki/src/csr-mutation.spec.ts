import { describe, expect, it } from '@jest/globals';
import { isAuthorityError } from '#kernel';
import { type CertificationRequest, readCsr } from './csr.js';
import { encodeCsr } from './csr-write.js';
import { der } from './der/write.js';
import { OID } from './oids.js';
import { commonName, generateKey, INSTANCE_ID, seededNumbers } from './testing/issuing.js';

const SEED = 'touchmark-csr-1';
const MUTANTS = 6_000;

const key = generateKey('ec-p256');
const good = encodeCsr(
  {
    subject: commonName('dev-7k2m9q'),
    publicKey: key.publicKey,
    san: [{ type: 'uri', value: `urn:uuid:${INSTANCE_ID}` }],
    extensions: [{ oid: OID.keyUsage, critical: true, value: der.namedBits([0]) }],
    challengePassword: 'binding',
    changeSubjectName: { subject: commonName('dev-8') },
  },
  key.privateKey,
);

/** All that a request means: everything but the signature, which differs between two requests for the same. */
function meaning({
  subjectDer,
  publicKey,
  extensions,
  san,
  challengePassword,
  changeSubjectName,
}: CertificationRequest): string {
  const parts = { subjectDer, spki: publicKey.spki, extensions, san, challengePassword, changeSubjectName };
  return JSON.stringify(parts, (_, value: unknown) => (Buffer.isBuffer(value) ? value.toString('hex') : value));
}

/** One to three edits: a bit, an octet, a cut, a doubled or moved stretch. */
function mutate(bytes: Buffer, below: (bound: number) => number): Buffer {
  let mutant = Buffer.from(bytes);
  for (let edits = 1 + below(3); edits > 0; edits--) {
    const at = below(mutant.length);
    const stretch = 1 + below(8);
    switch (below(6)) {
      case 0:
      case 1:
        mutant[at] = (mutant[at] as number) ^ (1 << below(8));
        break;
      case 2:
        mutant[at] = below(256);
        break;
      case 3:
        mutant = Buffer.concat([mutant.subarray(0, at), mutant.subarray(at + stretch)]);
        break;
      case 4:
        mutant = Buffer.concat([mutant.subarray(0, at + stretch), mutant.subarray(at)]);
        break;
      default:
        mutant = mutant.subarray(0, Math.max(at, 1));
    }
    if (mutant.length === 0) return mutant;
  }
  return mutant;
}

describe('readCsr on mutants of a good request', () => {
  it(`answers each of ${MUTANTS} with an AuthorityError or the same meaning (Q03, seed ${SEED})`, () => {
    const below = seededNumbers(SEED);
    const intended = meaning(readCsr(good));
    const kinds = new Map<string, number>();
    for (let i = 0; i < MUTANTS; i++) {
      const mutant = mutate(good, below);
      let outcome: string;
      try {
        outcome = meaning(readCsr(mutant)) === intended ? 'same' : `other meaning: ${mutant.toString('hex')}`;
      } catch (error) {
        outcome = isAuthorityError(error) ? error.kind : `escaped: ${String(error)} on ${mutant.toString('hex')}`;
      }
      kinds.set(outcome, (kinds.get(outcome) ?? 0) + 1);
    }
    expect([...kinds.keys()].filter((kind) => !['same', 'malformed', 'invalid'].includes(kind))).toEqual([]);
    expect(kinds.get('malformed')).toBeGreaterThan(MUTANTS / 2);
  });
});
