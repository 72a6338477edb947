import { AuthorityError } from '#kernel';

/** More would be no path of anybody's. */
const MAX_CHAIN = 10;
/** RFC 9651 section 3.3.5, in the one spelling that each value has: padded, no stray bits, no parameters. */
const BYTE_SEQUENCE = /^:([A-Za-z0-9+/]*={0,2}):$/;

/** What a proxy that ends TLS hands over (RFC 9440): DER of the client's certificate, and of those that it sent with it. */
export interface ForwardedCertificate {
  leaf: Buffer;
  chain: Buffer[];
}

/**
 * Reads Client-Cert and Client-Cert-Chain, each given as its field lines. Undefined where there is neither. Throws
 * `malformed`, code `clientCert`: two Client-Cert or a list of them (TX02), anything but a Byte Sequence, as PEM or base64url
 * (T01, TX03), a chain without its leaf (T02, TX05).
 */
export function readClientCert(
  certificate: readonly string[],
  chain: readonly string[],
): ForwardedCertificate | undefined {
  const [field] = certificate;
  if (field === undefined) {
    if (chain.length > 0) throw malformed('Client-Cert-Chain came without Client-Cert');
    return undefined;
  }
  if (certificate.length > 1 || field.includes(',')) throw malformed('there is more than one Client-Cert');
  const members = chain.flatMap((line) => line.split(',')).map(trim);
  if (members.length > MAX_CHAIN) throw malformed(`Client-Cert-Chain has more than ${MAX_CHAIN} certificates`);
  return {
    leaf: byteSequence(trim(field), 'Client-Cert'),
    chain: members.map((one) => byteSequence(one, 'Client-Cert-Chain')),
  };
}

const trim = (text: string): string => text.replace(/^[ \t]+|[ \t]+$/g, '');

function byteSequence(text: string, field: string): Buffer {
  const base64 = BYTE_SEQUENCE.exec(text)?.[1];
  const bytes = Buffer.from(base64 ?? '', 'base64');
  if (bytes.length === 0 || bytes.toString('base64') !== base64) {
    throw malformed(`${field} is no Byte Sequence, ":" around base64 of DER`);
  }
  return bytes;
}

const malformed = (why: string): AuthorityError =>
  new AuthorityError('malformed', `${why} (RFC 9440 section 2)`, { code: 'clientCert' });
