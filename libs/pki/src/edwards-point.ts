/** The field and the constant of edwards25519 (RFC 8032 section 5.1). */
const P = 2n ** 255n - 19n;
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;

const mod = (number: bigint): bigint => ((number % P) + P) % P;

/**
 * Whether 32 octets are one of the eight points of small order, or not the shortest form of a point: under such a key signatures verify
 * that nobody made. With the curve's equation solved for x^2, the points of order 1, 2, 4 and 8 are those with y^2 = 1, y = 0 and
 * d y^4 + 2 y^2 = 1. Whether another y has an x at all, the signature of the request shows.
 */
export function isSmallOrderPoint(octets: Buffer): boolean {
  const littleEndian = BigInt(`0x${Buffer.from(octets).reverse().toString('hex')}`);
  const y = littleEndian & (2n ** 255n - 1n);
  if (y >= P) return true;
  const square = mod(y * y);
  return y === 0n || square === 1n || mod(D * square * square + 2n * square) === 1n;
}
