import type { TLSSocket } from 'node:tls';

const known = new WeakMap<TLSSocket, Buffer | null>();

/**
 * DER of the certificate that the client proved to hold, undefined for none; also on a resumed session. Whether it is good
 * for anything is judged per request, elsewhere: `socket.authorized` is not authentication. Read once per connection,
 * since without renegotiation it cannot change.
 */
export function peerCertificate(socket: TLSSocket): Buffer | undefined {
  let der = known.get(socket);
  if (der === undefined) {
    der = socket.getPeerX509Certificate()?.raw ?? null;
    known.set(socket, der);
  }
  return der ?? undefined;
}
