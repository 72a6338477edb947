import { Module, type DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { ResponderDeps } from './deps.js';
import { RESPONDER_DEPS, StatusRoutes } from './status-routes.js';
import { answerFailure, TextErrors } from './text-errors.js';

/** Room for URLs that are too long to be told so (414); what is longer still, node refuses by itself (431). */
const MAX_HEADER_BYTES = 64 * 1024;
const BODY_LIMIT_BYTES = 16 * 1024;
/** A client that trickles its head or body holds a connection no longer than this. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 15_000;
const MAX_CONNECTIONS = 8192;

@Module({})
class ResponderModule {
  static of(deps: ResponderDeps): DynamicModule {
    return { module: ResponderModule, providers: [{ provide: RESPONDER_DEPS, useValue: deps }, StatusRoutes] };
  }
}

/**
 * The status plane as an application: CA certificates, CRLs, OCSP, discovery, health, over plain HTTP without
 * authentication. The caller lets it listen, and closes first it and then what it gave it.
 */
export async function createResponder(deps: ResponderDeps): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    bodyLimit: BODY_LIMIT_BYTES,
    // What reaches a plane that closes is still answered as ever, not by the framework's own 503; new connections are not taken.
    return503OnClosing: false,
    http: {
      maxHeaderSize: MAX_HEADER_BYTES,
      // Node takes the longer of the two for the whole request, and looks only this often.
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: 2000,
    },
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: 65_000,
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) =>
      answerFailure(deps.log, error, request, reply),
  });
  adapter.getInstance().server.maxConnections = MAX_CONNECTIONS;
  const app = await NestFactory.create<NestFastifyApplication>(ResponderModule.of(deps), adapter, {
    logger: false,
    bodyParser: false,
    abortOnError: false,
  });
  adapter.getInstance().removeAllContentTypeParsers();
  app.useGlobalFilters(new TextErrors(deps.log));
  await app.init();
  return app;
}

/** Why the plane cannot tell status now; empty when it can. */
export const responderReadiness = (app: NestFastifyApplication): string[] => app.get(StatusRoutes).problems();
