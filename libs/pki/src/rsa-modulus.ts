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

/** So many numbers above the root are tried, as other authorities do: sound primes differ in their first hundred bits. */
const FERMAT_STEPS = 100;
/** Squares leave only these rests; 99 in 100 numbers that are none are told by them. */
const SQUARE_RESTS: readonly (readonly [bigint, ReadonlySet<bigint>])[] = [64n, 63n, 65n, 11n].map((modulus) => [
  modulus,
  new Set(Array.from({ length: Number(modulus) }, (_, root) => BigInt(root * root) % modulus)),
]);

/**
 * Whether Fermat's method finds the two primes in its first steps: they were chosen too near each other (CVE-2022-26320, section 3 of
 * "Fermat factorization in the wild"). Bounded: some hundred additions and about as many small divisions.
 */
export function hasClosePrimes(modulus: bigint): boolean {
  let middle = squareRoot(modulus);
  if (middle * middle < modulus) middle += 1n;
  let rest = middle * middle - modulus;
  for (let step = 0; step < FERMAT_STEPS; step++) {
    if (isSquare(rest)) return true;
    rest += 2n * middle + 1n;
    middle += 1n;
  }
  return false;
}

function isSquare(number: bigint): boolean {
  if (!SQUARE_RESTS.every(([modulus, rests]) => rests.has(number % modulus))) return false;
  const root = squareRoot(number);
  return root * root === number;
}

/** The integer part, by Newton's method from above. */
function squareRoot(number: bigint): bigint {
  if (number < 2n) return number;
  let root = 1n << BigInt((number.toString(16).length * 4 + 1) >> 1);
  for (;;) {
    const next = (root + number / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
