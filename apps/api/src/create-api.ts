import { randomUUID } from 'node:crypto';
import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import {
  Module,
  StandardSchemaSerializerInterceptor,
  StandardSchemaValidationPipe,
  type DynamicModule,
} from '@nestjs/common';
import { APP_FILTER, APP_INTERCEPTOR, APP_PIPE, NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { OpenAPIObject } from '@nestjs/swagger';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Registry } from 'prom-client';
import type { Logger } from 'pino';
import { TokenUse, type AuthorityContext } from '#authority';
import { AuthorityError, type Config } from '#kernel';
import { enforceAccess } from './access.js';
import { collectMethods } from './allowed-methods.js';
import { provideAuthority } from './authority-module.js';
import { acceptJson } from './body.js';
import { drainOnClose } from './drain.js';
import { MAX_BODY_BYTES } from './framework-error.js';
import { IntrospectionModule } from './introspection.js';
import { describeApi } from './open-api.js';
import { ProblemFilter, sendProblem } from './problem-filter.js';
import { toProblem } from './problem.js';
import { recordRequests } from './request-log.js';
import { ApprovalRoutes } from './routes/approvals.js';
import { AppRoutes } from './routes/apps.js';
import { AuditRoutes } from './routes/audit.js';
import { BlockedKeyRoutes } from './routes/blocked-keys.js';
import { CertificateRoutes } from './routes/certificates.js';
import { DeviceGroupRoutes } from './routes/device-groups.js';
import { DeviceRoutes } from './routes/devices.js';
import { TransportKeyRoutes } from './routes/transport-keys.js';
import { DomainRoutes } from './routes/domains.js';
import { EstLabelRoutes } from './routes/est-labels.js';
import { DeviceFingerprintRoutes } from './routes/device-fingerprints.js';
import { RaObtainedRoutes } from './routes/ra-obtained.js';
import { SdpFingerprintRoutes } from './routes/sdp-fingerprints.js';
import { IssuerRoutes } from './routes/issuers.js';
import { KeyRoutes } from './routes/keys.js';
import { EventTypeRoutes, MailSubscriptionRoutes } from './routes/mail-subscriptions.js';
import { OrganizationRoutes } from './routes/organizations.js';
import { PersonRoleRoutes } from './routes/person-roles.js';
import { PersonRoutes } from './routes/people.js';
import { PLANE, PlaneRoutes } from './routes/plane.js';
import { ProfileRoutes } from './routes/profiles.js';
import { API_DOCUMENT, ReferenceRoutes } from './routes/reference.js';
import { PasskeyRoutes } from './routes/passkeys.js';
import { SessionRoutes } from './routes/session.js';
import { SignInRoutes } from './routes/sign-in.js';
import { OidcSignInRoutes } from './routes/sign-in-oidc.js';
import { SignInPageRoutes } from './routes/sign-in-page.js';
import { TokenRoutes } from './routes/tokens.js';
import { TrustAnchorRoutes } from './routes/trust-anchors.js';
import { TlogRoutes } from './routes/tlog.js';
import { UserRoutes } from './routes/users.js';
import { WebhookRoutes } from './routes/webhooks.js';
import { addSecurityHeaders, setSecurityHeaders } from './security-headers.js';
import type { OidcSettings } from './sign-in/oidc-settings.js';
import { SIGN_IN, SignIn } from './sign-in/sign-in.js';
import { renewSecureContext, tlsOptions, type TlsCredentials } from './tls.js';
import { traceRequests } from './trace-requests.js';
import { fromSchemaIssues } from './validation.js';

export interface ApiDependencies {
  config: Config;
  authority: AuthorityContext;
  tls: TlsCredentials;
  /** Shared with the other planes of the process. */
  registry: Registry;
  log: Logger;
  /** Why the plane is not ready; empty when it is. */
  readiness: () => Promise<string[]>;
  /** What it cannot do while it does the rest; absent: nothing of that kind is known. */
  degraded?: (() => string[]) | undefined;
  /** Of secrets/oidc.json; undefined: nobody signs in by OpenID Connect. */
  oidc?: OidcSettings | undefined;
  /** Base URLs, known once every plane has its port. */
  urls: () => { est: string; api: string; status: string };
}

const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 15_000;
/** How long a connection stays after the last that is said on it. */
const LINGER_MS = 1000;
const MAX_CONNECTIONS = 4096;

@Module({})
class ApiModule {}

/**
 * The API plane as a Nest application, initialized and not yet listening. Throws when a route declares no access. What it
 * was given (database, signer, follower) stays the caller's to close, after `app.close()`.
 */
export async function createApi(deps: ApiDependencies): Promise<NestFastifyApplication> {
  const adapter = createAdapter(deps);
  const instance = adapter.getInstance();
  drainOnClose(instance);
  const answerOtherMethods = collectMethods(instance);
  addSecurityHeaders(instance);
  recordRequests(instance, 'api', deps.log, deps.registry);
  if (deps.config.otlpEndpoint !== undefined) traceRequests(instance);
  const use = new TokenUse(deps.authority);
  enforceAccess(instance, deps.authority, (tokenId) => use.note(tokenId));
  flushRegularly(instance, use);
  acceptJson(instance);
  let document: OpenAPIObject | undefined;
  const describe = (): OpenAPIObject => (document ??= describeApi(app, deps.urls().api));
  const app = await NestFactory.create<NestFastifyApplication>(apiModule(deps, describe), adapter, {
    bodyParser: false,
    logger: false,
    abortOnError: false,
  });
  await app.init();
  answerOtherMethods();
  return app;
}

/** A renewed server certificate, for connections from now on. */
export function renewTls(app: NestFastifyApplication, credentials: TlsCredentials): void {
  renewSecureContext(app.getHttpServer() as unknown as Server, credentials);
}

const USE_FLUSH_MS = 30_000;

function flushRegularly(instance: FastifyInstance, use: TokenUse): void {
  const timer = setInterval(() => void use.flush(), USE_FLUSH_MS).unref();
  instance.addHook('onClose', async () => {
    clearInterval(timer);
    await use.flush();
  });
}

function createAdapter({ tls, log }: ApiDependencies): FastifyAdapter {
  const adapter = new FastifyAdapter({
    https: { ...tlsOptions(tls), handshakeTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 2000 },
    bodyLimit: MAX_BODY_BYTES,
    // What reaches a plane that closes is still answered as ever, not by the framework's own 503; new connections are not taken.
    return503OnClosing: false,
    requestTimeout: REQUEST_TIMEOUT_MS,
    logger: false,
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    // Credential ids of passkeys are longer than the 100 characters of the default.
    routerOptions: { maxParamLength: 1000 },
    // Nest middleware is not used; each request would pay for it.
    skipMiddie: true,
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
      setSecurityHeaders(request, reply);
      sendProblem(error, request, reply, log);
    },
    clientErrorHandler: refuseUnreadable,
  });
  const server = adapter.getInstance().server as unknown as Server;
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.maxConnections = MAX_CONNECTIONS;
  return adapter;
}

/** What the HTTP parser itself refuses: no request exists yet, so the answer is written by hand and the connection ends. */
function refuseUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT' || !socket.writable) {
    // Without a finished handshake nothing can be written, and `end` would wait for it for ever.
    socket.destroy();
    return;
  }
  const known = new AuthorityError('malformed', 'this is not a readable HTTP request', { cause: error });
  const { problem } = toProblem(known, randomUUID());
  const [status, phrase] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request Header Fields Too Large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout']
        : [400, 'Bad Request'];
  const body = JSON.stringify({ ...problem, type: 'about:blank', title: phrase, status });
  const head = `HTTP/1.1 ${status} ${phrase}\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n`;
  socket.end(`${head}Connection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  // Whoever does not close his side as well holds nothing any longer.
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

function apiModule(deps: ApiDependencies, describe: () => OpenAPIObject): DynamicModule {
  const { authority, registry, readiness, degraded = () => [], log } = deps;
  return {
    module: ApiModule,
    imports: [IntrospectionModule.with(authority)],
    controllers: [
      OrganizationRoutes,
      AppRoutes,
      KeyRoutes,
      DeviceGroupRoutes,
      DeviceRoutes,
      RaObtainedRoutes,
      BlockedKeyRoutes,
      TransportKeyRoutes,
      DomainRoutes,
      UserRoutes,
      DeviceFingerprintRoutes,
      SdpFingerprintRoutes,
      CertificateRoutes,
      ApprovalRoutes,
      PersonRoleRoutes,
      IssuerRoutes,
      ProfileRoutes,
      EstLabelRoutes,
      TrustAnchorRoutes,
      AuditRoutes,
      PersonRoutes,
      TokenRoutes,
      SessionRoutes,
      TlogRoutes,
      PasskeyRoutes,
      SignInRoutes,
      OidcSignInRoutes,
      SignInPageRoutes,
      WebhookRoutes,
      MailSubscriptionRoutes,
      EventTypeRoutes,
      PlaneRoutes,
      ReferenceRoutes,
    ],
    providers: [
      provideAuthority(authority),
      { provide: PLANE, useValue: { registry, readiness, degraded } },
      { provide: SIGN_IN, useValue: new SignIn(deps) },
      { provide: API_DOCUMENT, useValue: describe },
      { provide: APP_FILTER, useValue: new ProblemFilter(log) },
      { provide: APP_PIPE, useValue: new StandardSchemaValidationPipe({ exceptionFactory: fromSchemaIssues }) },
      { provide: APP_INTERCEPTOR, useClass: StandardSchemaSerializerInterceptor },
    ],
  };
}
