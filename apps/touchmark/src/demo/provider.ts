import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import type { CaCertificates, Identity } from './examiner.js';

/** What a provider's server made of its one visitor. */
export interface Visit {
  /** Protocol and subject, or the reason of Node's TLS against it. */
  outcome: string;
  admitted: boolean;
  /** What reached the visitor. */
  heard: string;
}

/**
 * A provider's server for one visit, on Node's own TLS: it knows our root and our CRLs (PEM) and nothing else of us, demands
 * a client certificate, and greets by name.
 */
export async function receiveOne(
  server: Identity,
  trust: { ca: CaCertificates; crls: string[] },
  visit: (port: number) => Promise<string>,
): Promise<Visit> {
  const { root, issuing } = trust.ca;
  const listener = createServer({
    key: server.key,
    cert: server.certificate,
    ca: [root, issuing],
    crl: trust.crls,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
  });
  const seen = Promise.withResolvers<Omit<Visit, 'heard'>>();
  listener.on('tlsClientError', (error, socket) => {
    seen.resolve({ outcome: String(socket.authorizationError || error.message), admitted: false });
  });
  listener.on('secureConnection', (socket) => {
    const subject = String(socket.getPeerCertificate().subject['CN']);
    seen.resolve({ outcome: `${socket.getProtocol() ?? 'TLS'}, CN=${subject}`, admitted: true });
    socket.on('error', () => undefined);
    socket.end(`welcome ${subject}\n`);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  try {
    const heard = await visit((listener.address() as AddressInfo).port);
    return { ...(await seen.promise), heard };
  } finally {
    listener.close();
  }
}
