import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { MAX_REQUEST_BYTES, REQUEST_TYPE, settle } from './ocsp-routes.js';
import type { OcspResponder } from './ocsp-responder.js';

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * Answers plain `POST /ocsp` before the framework sees it: routing, body parsing and reply of the framework cost a third of
 * what is left beside the signature. Only requests in their simplest form; every other one goes the ordinary way, which
 * knows all the refusals.
 */
export function answerDirectly(server: Server, ocsp: OcspResponder): void {
  const ordinary = server.listeners('request') as Listener[];
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const length = request.method === 'POST' && request.url === '/ocsp' ? plainLength(request) : undefined;
    if (length === undefined) for (const listener of ordinary) listener.call(server, request, response);
    else collect(request, length, (body) => settle(request, response, ocsp.answer(body)));
  });
}

/** The length of a body that is nothing but one OCSP request; undefined for whatever needs a second look. */
function plainLength(request: IncomingMessage): number | undefined {
  const { headers } = request;
  if (headers['content-type'] !== REQUEST_TYPE || headers['content-encoding'] !== undefined) return undefined;
  if (headers['transfer-encoding'] !== undefined || headers.expect !== undefined) return undefined;
  const length = Number(headers['content-length']);
  return Number.isInteger(length) && length > 0 && length <= MAX_REQUEST_BYTES ? length : undefined;
}

/**
 * The body is whole with its last octet: waiting for the stream to end would cost another turn of the event loop. One that
 * is cut off never gets there, and its socket times out.
 */
function collect(request: IncomingMessage, length: number, done: (body: Buffer) => void): void {
  let body: Buffer | undefined;
  request.on('data', (part: Buffer) => {
    body = body === undefined ? part : Buffer.concat([body, part]);
    if (body.length === length) done(body);
  });
}
