import { randomUUID } from 'node:crypto';
import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER, NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { AuthorityContext } from '#authority';
import { MAX_BODY_BYTES } from '#est';
import type { Config } from '#kernel';
import { drainOnClose } from './drain.js';
import { EstFilter, sendError } from './est-filter.js';
import { registerEstRoutes } from './est-routes.js';
import { fromFramework } from './framework-error.js';
import { HealthRoutes, READINESS } from './health-routes.js';
import { recordRequests } from './request-log.js';
import { ServerSigner } from './server-signer.js';
import { tlsOptions, type TlsCredentials } from './tls.js';
import { traceRequests } from './trace-requests.js';

export interface EstDependencies {
  config: Config;
  authority: AuthorityContext;
  tls: TlsCredentials;
  /** DER of the root and of every CA between it and a device certificate (RFC 7030 section 4.1.3). */
  cacerts: () => Promise<Buffer[]>;
  /** Shared with the other planes of the process. */
  registry: Registry;
  log: Logger;
  /** Why the plane is not ready; empty when it is. */
  readiness: () => Promise<string[]>;
  /** What it cannot do while it does the rest; absent: nothing of that kind is known. */
  degraded?: (() => string[]) | undefined;
}

/** A client that trickles its handshake, head or body holds a connection no longer than this. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
export const HEADERS_TIMEOUT_MS = 10_000;
export const REQUEST_TIMEOUT_MS = 15_000;
/** How long a connection stays after the last that is said on it. */
const LINGER_MS = 1000;
const MAX_CONNECTIONS = 4096;
const MAX_PATH_PARAMETER = 1024;

@Module({})
class EstModule {}

/**
 * The EST plane (RFC 7030) as a Nest application, initialized and not yet listening. What it was given stays the caller's
 * to close, after `app.close()`.
 */
export async function createEst(deps: EstDependencies): Promise<NestFastifyApplication> {
  const adapter = createAdapter(deps);
  const instance = adapter.getInstance();
  drainOnClose(instance);
  recordRequests(instance, deps.log, deps.registry);
  if (deps.config.otlpEndpoint !== undefined) traceRequests(instance);
  const server = new ServerSigner(deps.tls);
  registerEstRoutes(instance, { ...deps, server });
  const app = await NestFactory.create<NestFastifyApplication>(estModule(deps), adapter, {
    bodyParser: false,
    logger: false,
    abortOnError: false,
  });
  await app.init();
  signers.set(app, server);
  return app;
}

const signers = new WeakMap<NestFastifyApplication, ServerSigner>();

/** A renewed server certificate, for connections from now on; those that are open keep what they began with. */
export function renewTls(app: NestFastifyApplication, credentials: TlsCredentials): void {
  (app.getHttpServer() as unknown as Server).setSecureContext(tlsOptions(credentials));
  signers.get(app)?.renew(credentials);
}

function estModule({ authority, log, readiness, degraded = () => [] }: EstDependencies): DynamicModule {
  return {
    module: EstModule,
    controllers: [HealthRoutes],
    providers: [
      { provide: READINESS, useValue: { readiness, degraded } },
      { provide: APP_FILTER, useValue: new EstFilter(authority, log) },
    ],
  };
}

function createAdapter({ authority, tls, log }: EstDependencies): FastifyAdapter {
  const adapter = new FastifyAdapter({
    https: {
      ...tlsOptions(tls),
      // Asked for in the first handshake, and optional: cacerts needs none (E12). Our own path check decides, per request.
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      connectionsCheckingInterval: 2000,
    },
    bodyLimit: MAX_BODY_BYTES,
    // What reaches a plane that closes is still answered as ever, not by the framework's own 503; new connections are not taken.
    return503OnClosing: false,
    requestTimeout: REQUEST_TIMEOUT_MS,
    routerOptions: { maxParamLength: MAX_PATH_PARAMETER },
    logger: false,
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    // Nest middleware is not used; each request would pay for it.
    skipMiddie: true,
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
      sendError(authority, fromFramework(error), request, reply, log);
    },
    clientErrorHandler: refuseUnreadable,
  });
  const server = adapter.getInstance().server as unknown as Server;
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.maxConnections = MAX_CONNECTIONS;
  return adapter;
}

/** What the HTTP parser itself refuses: no request exists yet, so the answer is written by hand and the connection ends. */
export function refuseUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT' || !socket.writable) {
    // Without a finished handshake nothing can be written, and `end` would wait for it for ever.
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request';
  const body = 'This is not a readable HTTP request\n';
  const head = `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n`;
  socket.end(`${head}Connection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  // Whoever does not close his side as well holds nothing any longer.
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
