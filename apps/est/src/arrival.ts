import { hash } from 'node:crypto';
import { isIP } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { FastifyRequest } from 'fastify';
import { readClientCert } from '#est';
import { AuthorityError, isAuthorityError } from '#kernel';
import { readCertificate, verifyBytes, type Certificate } from '#pki';
import { peerCertificate } from './peer-certificate.js';

/** Whom a request came from, and by which way. */
export interface Arrival {
  /** The connection of the client itself; undefined where TLS ended at a proxy of ours. */
  socket: TLSSocket | undefined;
  /** Of the client, for limits and the audit log. */
  address: string;
  /** DER of the certificate that the client proved to hold, to us or to the proxy. */
  peerCertificate: () => Buffer | undefined;
}

/** Also before, or without, an arrival that could be read. */
export const addressOf = (request: FastifyRequest): string =>
  request.estArrival?.address ?? request.raw.socket.remoteAddress ?? LOCAL;

/** SHA-256 in hex of certificates, or of public keys, by which proxies prove themselves. */
export type Proxies = ReadonlySet<string>;

/** What comes by the Unix socket has no address of its own. */
const LOCAL = 'unix';

/**
 * Client-Cert counts from a proxy alone: by the certificate of the hop, which is one of `proxies`, or by the Unix socket,
 * whose file only the proxy may open (T04). From everybody else it is refused, and so told apart from a proxy that is set up
 * wrongly (TX01). Of what a proxy sends, nothing is believed but that the client has the key (T07). Throws `malformed`,
 * `forbidden` for a chain that the certificate does not belong to (TX06).
 */
export function arrivalOf(request: FastifyRequest, proxies: Proxies): Arrival {
  const { socket } = request.raw;
  const [fields, chain] = [linesOf(request, 'client-cert'), linesOf(request, 'client-cert-chain')];
  if (socket instanceof TLSSocket && !isProxy(socket, proxies)) {
    if (fields.length + chain.length > 0) throw untrusted();
    return { socket, address: request.ip, peerCertificate: () => peerCertificate(socket) };
  }
  const forwarded = readClientCert(fields, chain);
  if (forwarded) checkChain(forwarded.leaf, forwarded.chain);
  return {
    socket: undefined,
    address: forwardedFor(request) ?? socket.remoteAddress ?? LOCAL,
    peerCertificate: () => forwarded?.leaf,
  };
}

const known = new WeakMap<TLSSocket, boolean>();

/** Read once per connection, and not at all where no proxies are set up. */
function isProxy(socket: TLSSocket, proxies: Proxies): boolean {
  if (proxies.size === 0) return false;
  const before = known.get(socket);
  if (before !== undefined) return before;
  const now = matches(peerCertificate(socket), proxies);
  known.set(socket, now);
  return now;
}

function matches(der: Buffer | undefined, proxies: Proxies): boolean {
  if (der === undefined) return false;
  if (proxies.has(hash('sha256', der))) return true;
  try {
    return proxies.has(readCertificate(der).publicKey.sha256.toString('hex'));
  } catch (error) {
    if (isAuthorityError(error)) return false;
    throw error;
  }
}

/** Each line by itself: Node joins or drops repeated ones. */
function linesOf({ raw }: FastifyRequest, name: string): string[] {
  const { rawHeaders } = raw;
  return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
}

/** The last address, which our proxy itself has written; what stands before it anybody may have. */
function forwardedFor(request: FastifyRequest): string | undefined {
  const last = linesOf(request, 'x-forwarded-for').at(-1)?.split(',').at(-1)?.trim();
  return last !== undefined && isIP(last) !== 0 ? last : undefined;
}

/** T02: from the certificate upward, each issued by the next. What the path is worth is found out elsewhere. */
function checkChain(leaf: Buffer, chain: readonly Buffer[]): void {
  let subject = read(leaf);
  for (const one of chain) {
    const issuer = read(one);
    const { keyObject } = issuer.publicKey;
    const { signatureAlgorithmDer, tbs, signature } = subject;
    const issued = subject.issuerDer.equals(issuer.subjectDer) && keyObject !== undefined;
    if (!issued || !verifyBytes(signatureAlgorithmDer, keyObject, tbs, signature)) {
      throw new AuthorityError('forbidden', 'the client certificate does not belong to the Client-Cert-Chain', {
        code: 'clientCert',
      });
    }
    subject = issuer;
  }
}

function read(der: Buffer): Certificate {
  try {
    return readCertificate(der);
  } catch (cause) {
    if (!isAuthorityError(cause)) throw cause;
    throw new AuthorityError('malformed', 'Client-Cert or Client-Cert-Chain holds what is no certificate', {
      code: 'clientCert',
      cause,
    });
  }
}

const untrusted = (): AuthorityError =>
  new AuthorityError(
    'malformed',
    'Client-Cert is taken from the proxies of this authority alone (RFC 9440 section 4)',
    {
      code: 'clientCertUntrusted',
    },
  );
