import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { NotVerified } from './narrator.js';

const TIMEOUT_MS = 10_000;

export interface Sent {
  method?: 'GET' | 'POST';
  headers?: Readonly<Record<string, string>>;
  body?: string | Buffer;
  /** PEM: whom to trust, and who asks. */
  tls?: { ca: string; cert?: string; key?: string };
}

export interface Received {
  status: number;
  body: Buffer;
}

/** One request on a connection of its own, as a device sends it. */
export function send(url: string, { method = 'GET', headers = {}, body, tls }: Sent = {}): Promise<Received> {
  const { promise, resolve, reject } = Promise.withResolvers<Received>();
  const open = url.startsWith('https:') ? httpsRequest : httpRequest;
  const request = open(url, { method, headers, agent: false, timeout: TIMEOUT_MS, ...tls }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.once('error', reject);
    response.once('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
  });
  request.once('timeout', () =>
    request.destroy(new NotVerified(`no answer from ${url} within ${TIMEOUT_MS / 1000} s`)),
  );
  request.once('error', reject);
  request.end(body);
  return promise;
}
