import { Inject, Module, type DynamicModule, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { introspect, type AuthorityContext } from '#authority';
import { AuthorityError } from '#kernel';
import { provideAuthority, TheAuthority } from './authority-module.js';

const FORM = 'application/x-www-form-urlencoded';
const MAX_FORM_BYTES = 4096;
/** Set at once on every answer; RFC 7662 section 4: nobody in between may keep it. */
const HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' } as const;

export const introspectionSchema = z
  .strictObject({
    active: z.boolean(),
    id: z.string().optional(),
    reason: z.enum(['pending', 'suspended', 'revoked', 'expired', 'audience']).optional(),
    token_type: z.literal('api_key').optional(),
    status: z.enum(['active', 'retiring']).optional(),
    client_id: z.string().optional(),
    iss: z.string().optional(),
    environment: z.enum(['live', 'test']).optional(),
    exp: z.int().optional(),
    seq: z.int().optional(),
  })
  .meta({ id: 'Introspection', description: 'RFC 7662; of an unknown key nothing but active: false' });

/**
 * RFC 7662 as a plain Fastify route: asked once per call that a provider takes, so nothing stands between the socket and the
 * in-memory index but the access check and this form. Each provider is answered for itself, operators for nobody.
 */
@Module({})
export class IntrospectionModule implements OnModuleInit {
  constructor(
    @TheAuthority() private readonly a: AuthorityContext,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
  ) {}

  static with(a: AuthorityContext): DynamicModule {
    return { module: IntrospectionModule, providers: [provideAuthority(a)] };
  }

  onModuleInit(): void {
    const a = this.a;
    const root = this.host.httpAdapter.getInstance<FastifyInstance>();
    // Not awaited: that would start Fastify before Nest has given it its error handler.
    void root.register((instance, _options, done) => {
      instance.removeAllContentTypeParsers();
      instance.addContentTypeParser(
        FORM,
        { parseAs: 'string', bodyLimit: MAX_FORM_BYTES },
        (_request, body, parsed) => {
          parsed(null, body);
        },
      );
      instance.post('/v1/introspect', { config: { access: 'key:introspect', hot: true } }, (request, reply) => {
        const { organization } = callerOf(request);
        const provider = organization.kind === 'provider' ? organization : undefined;
        const answer = JSON.stringify(introspect(a, readToken(request.body), provider));
        return reply.headers(HEADERS).send(answer);
      });
      done();
    });
  }
}

function callerOf(request: FastifyRequest): NonNullable<FastifyRequest['caller']> {
  if (request.caller === null) throw new AuthorityError('internal', 'a public route has no caller');
  return request.caller;
}

/**
 * The one `token` of the form. Other members are ignored, `token_type_hint` among them (RFC 7662 section 2.1, RFC 6749
 * section 3.2). A key has nothing to decode, so the common form is read without a parser.
 */
export function readToken(body: unknown): string {
  if (typeof body !== 'string') {
    throw new AuthorityError('unsupportedType', `the body must have Content-Type ${FORM}`);
  }
  const plain = /^token=([A-Za-z0-9_]{1,200})$/.exec(body)?.[1];
  if (plain !== undefined) return plain;
  const tokens = new URLSearchParams(body).getAll('token');
  if (tokens.length !== 1 || tokens[0] === undefined || tokens[0] === '') {
    throw new AuthorityError('malformed', 'token: give exactly one', { member: 'token' });
  }
  return tokens[0];
}
