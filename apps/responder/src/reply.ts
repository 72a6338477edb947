import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** An answer ready to be written: nothing is computed per request. */
export interface Reply {
  /** A small body stands as latin1 text: node sends it and its head in one write, a Buffer in two parts. */
  body: Buffer | string;
  /** Names and values in turn, as `writeHead` takes them; Date is added by node. */
  headers: string[];
  /** Quoted; undefined where conditional requests make no sense. */
  etag: string | undefined;
  /** Headers of a 304. */
  unchanged: string[];
}

/** Up to here one copy per answer is cheaper than a vectored write. */
const TEXT_BYTES = 16 * 1024;

export interface Caching {
  /** Seconds; 0 also where the answer is for one client. */
  maxAge: number;
  lastModified: Date;
  expires: Date | undefined;
  /** Up to which row of the status log the answer speaks. */
  seq: number | undefined;
}

/** The headers of O06 and C20 around bytes that are signed. The ETag is strong: SHA-256 of the bytes (O07). */
export function cacheable(mediaType: string, body: Buffer, caching: Caching): Reply {
  const etag = `"${createHash('sha256').update(body).digest('hex')}"`;
  const unchanged = [
    'ETag',
    etag,
    'Last-Modified',
    caching.lastModified.toUTCString(),
    'Cache-Control',
    `max-age=${caching.maxAge}, public, no-transform, must-revalidate`,
  ];
  if (caching.expires !== undefined) unchanged.push('Expires', caching.expires.toUTCString());
  if (caching.seq !== undefined) unchanged.push('Touchmark-Seq', String(caching.seq));
  return { body: toWrite(body), headers: [...typed(mediaType, body), ...unchanged], etag, unchanged };
}

/** For what must not be kept: errors and whatever changes with each request. */
export function uncacheable(mediaType: string, body: Buffer, extra: readonly string[] = []): Reply {
  const headers = [...typed(mediaType, body), 'Cache-Control', 'no-store', ...extra];
  return { body: toWrite(body), headers, etag: undefined, unchanged: [] };
}

/** An authoritative answer for one client at one moment (O11): `no-store` is not for these (O10), nor is a validator. */
export function momentary(mediaType: string, body: Buffer, seq: number): Reply {
  const headers = typed(mediaType, body);
  headers.push('Cache-Control', 'max-age=0, public, no-transform, must-revalidate', 'Touchmark-Seq', String(seq));
  return { body: toWrite(body), headers, etag: undefined, unchanged: [] };
}

export function textReply(text: string, extra: readonly string[] = []): Reply {
  return uncacheable('text/plain; charset=utf-8', Buffer.from(`${text}\n`), extra);
}

/** Seconds for which a cache may keep something signed: always less than what is left until nextUpdate (O09, C20). */
export function boundedMaxAge(wished: number, now: Date, nextUpdate: Date): number {
  const left = Math.floor((nextUpdate.getTime() - now.getTime()) / 1000) - 1;
  return Math.max(0, Math.min(wished, left));
}

/** Writes to the socket without the framework's reply: bodies and headers are finished. HEAD sends no body (node). */
export function write(request: IncomingMessage, response: ServerResponse, status: number, reply: Reply): void {
  const condition = reply.etag === undefined ? undefined : request.headers['if-none-match'];
  if (condition !== undefined && status === 200 && matches(condition, reply.etag)) {
    response.writeHead(304, reply.unchanged).end();
    return;
  }
  response.writeHead(status, reply.headers).end(reply.body, 'latin1');
}

/** RFC 9110 section 13.1.2: weak comparison, a list, or `*`. */
function matches(condition: string, etag: string | undefined): boolean {
  return condition
    .split(',')
    .map((one) => one.trim().replace(/^W\//, ''))
    .some((one) => one === '*' || one === etag);
}

function toWrite(body: Buffer): Buffer | string {
  return body.length <= TEXT_BYTES ? body.toString('latin1') : body;
}

function typed(mediaType: string, body: Buffer): string[] {
  return ['Content-Type', mediaType, 'Content-Length', String(body.length)];
}
