import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { DerReader, digestByOid, OID, type SignatureDigest } from '#pki';

/** A value that only who knows a shared secret can compute: of identityProofV2 and of popLinkWitnessV2, which have one form. */
export interface Witness {
  /** Of the shared secret, and of the HMAC. */
  hash: SignatureDigest;
  mac: SignatureDigest;
  value: Buffer;
}

const MACS: ReadonlyMap<string, SignatureDigest> = new Map([
  [OID.hmacWithSha256, 'sha256'],
  [OID.hmacWithSha384, 'sha384'],
  [OID.hmacWithSha512, 'sha512'],
]);

/**
 * RFC 5272 sections 6.2.1 and 6.3.1.1. Throws `malformed`; `invalid` (code `unsupportedAlgorithm`) for another hash or MAC than those of
 * SHA-2.
 */
export function readWitness(value: Buffer, what: string): Witness {
  const witness = DerReader.openSequence(value, what);
  const hash = digestByOid(algorithmOf(witness));
  const mac = MACS.get(algorithmOf(witness));
  if (mac === undefined) {
    throw new AuthorityError('invalid', `the ${what} is by a MAC that is not taken; use HMAC with SHA-256`, {
      code: 'unsupportedAlgorithm',
    });
  }
  const octets = witness.octetString();
  witness.finish();
  return { hash, mac, value: octets };
}

function algorithmOf(reader: DerReader): string {
  const algorithm = reader.sequence();
  const oid = algorithm.oid();
  if (!algorithm.done) algorithm.null();
  algorithm.finish();
  return oid;
}

/**
 * The witness of an identity: HMAC over reqSequence, under the hash of the secret and, where there is one, of the identification behind it
 * (RFC 5272 sections 6.2.1 and 6.2.3).
 */
export function identityWitness(
  by: Pick<Witness, 'hash' | 'mac'>,
  secret: string,
  identification: string | undefined,
  reqSequence: Buffer,
): Buffer {
  return witnessOf(by, secret + (identification ?? ''), reqSequence);
}

/** The witness that links a request to the secret: HMAC over the random octets, under the hash of the secret (RFC 5272 section 6.3.1.1). */
export function popLinkWitness(by: Pick<Witness, 'hash' | 'mac'>, secret: string, random: Buffer): Buffer {
  return witnessOf(by, secret, random);
}

function witnessOf({ hash, mac }: Pick<Witness, 'hash' | 'mac'>, secret: string, message: Buffer): Buffer {
  const key = createHash(hash).update(secret).digest();
  return createHmac(mac, key).update(message).digest();
}

/** In constant time. */
export function checkIdentityProof(
  proof: Witness,
  secret: string,
  identification: string | undefined,
  reqSequence: Buffer,
): boolean {
  return equal(proof.value, identityWitness(proof, secret, identification, reqSequence));
}

/**
 * Whether a request was made by who knows the secret: `witness` is what it carries, `random` the control that goes with it; both or
 * neither. Throws `invalid`, code `popLink`, where they do not fit.
 */
export function checkPopLink(witness: Buffer | undefined, random: Buffer | undefined, secret: string): void {
  if (witness === undefined && random === undefined) return;
  if (witness === undefined || random === undefined) {
    throw notLinked('popLinkRandom and a popLinkWitnessV2 in every request belong together');
  }
  const read = readWitness(witness, 'popLinkWitnessV2');
  if (!equal(read.value, popLinkWitness(read, secret, random))) {
    throw notLinked('popLinkWitnessV2 does not come from the shared secret and popLinkRandom');
  }
}

export const notLinked = (why: string): AuthorityError => new AuthorityError('invalid', why, { code: 'popLink' });

const equal = (given: Buffer, wanted: Buffer): boolean =>
  given.length === wanted.length && timingSafeEqual(given, wanted);
