import { lstat, unlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { AuthorityError } from '#kernel';
import { HEADERS_TIMEOUT_MS, REQUEST_TIMEOUT_MS, refuseUnreadable } from './create-est.js';

/** Room for a certificate with post-quantum keys and its chain (T10). */
const MAX_HEADER_BYTES = 65_536;
/** Owner and group, nobody else: who may open the socket is the proxy. */
const NOT_OTHERS = 0o117;

/**
 * The same plane by HTTP without TLS, on a Unix socket for a proxy on this machine that ends TLS. `app` is initialized.
 * Answers what stops it. Throws `invalid` where the path holds something else than a socket.
 */
export async function listenForProxy(app: NestFastifyApplication, path: string): Promise<() => Promise<void>> {
  const instance = app.getHttpAdapter().getInstance();
  await instance.ready();
  await removeStale(path);
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
  });
  server.on('request', (request, response) => instance.server.emit('request', request, response));
  server.on('clientError', refuseUnreadable);
  const before = process.umask(NOT_OTHERS);
  try {
    server.listen(path);
    await once(server, 'listening');
  } finally {
    process.umask(before);
  }
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
}

/** Of a run that was killed. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new AuthorityError('invalid', `TOUCHMARK_EST_PROXY_SOCKET: ${path} is there and no socket`, {
      member: 'TOUCHMARK_EST_PROXY_SOCKET',
    });
  }
  await unlink(path);
}
