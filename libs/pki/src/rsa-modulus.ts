/** Signs of bad generators that a modulus carries on its face; each costs one big division and some small ones. */

const PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
];
const PRODUCT = PRIMES.reduce((product, prime) => product * BigInt(prime), 1n);

/** Per prime, the residues that powers of 65537 take. */
const POWERS: ReadonlyMap<number, ReadonlySet<number>> = new Map(
  PRIMES.map((prime) => {
    const powers = new Set<number>();
    for (let power = 1; !powers.has(power); power = (power * 65537) % prime) powers.add(power);
    return [prime, powers];
  }),
);

/** The smallest prime up to 167 that divides the number, if one does. */
export function smallestPrimeDivisor(modulus: bigint): number | undefined {
  if (modulus % 2n === 0n) return 2;
  const rest = modulus % PRODUCT;
  return PRIMES.find((prime) => rest % BigInt(prime) === 0n);
}

/**
 * The fingerprint of CVE-2017-15361 (Nemec et al., CCS 2017, 2.3): primes of the flawed library are powers of 65537 modulo the product
 * of the first primes, and so is their product. A sound modulus passes for one with a chance below 2^-27.
 */
export function isRocaModulus(modulus: bigint): boolean {
  const rest = modulus % PRODUCT;
  return PRIMES.every((prime) => POWERS.get(prime)?.has(Number(rest % BigInt(prime))));
}
