import { createParamDecorator, Inject, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { scopeOf, withIdempotency, type Actor, type AuthorityContext } from '#authority';
import type { Tx } from '#store';
import { actorOf } from './access.js';

const AUTHORITY = Symbol('authority');

/** Gives a controller the use cases' context. */
export const TheAuthority = (): ParameterDecorator & PropertyDecorator => Inject(AUTHORITY);
export const provideAuthority = (a: AuthorityContext) => ({ provide: AUTHORITY, useValue: a });

/** The authenticated caller of this request. */
export const By = createParamDecorator((_: undefined, context: ExecutionContext): Actor =>
  actorOf(context.switchToHttp().getRequest<FastifyRequest>()),
);

/** Reads in one transaction that sees what the actor may see. */
export function read<T>(a: AuthorityContext, actor: Actor, work: (tx: Tx) => Promise<T>): Promise<T> {
  return a.database.transaction(work, scopeOf(a, actor));
}

/** What of an HTTP exchange a creation needs. */
export interface Exchange {
  request: FastifyRequest;
  reply: FastifyReply;
}

export const Http = createParamDecorator((_: undefined, context: ExecutionContext): Exchange => ({
  request: context.switchToHttp().getRequest<FastifyRequest>(),
  reply: context.switchToHttp().getResponse<FastifyReply>(),
}));

/**
 * A POST that creates: with an `Idempotency-Key` it happens once, and a repetition gets the first answer with
 * `Idempotency-Replayed: true`. `work` must use the context it is given, and give what JSON keeps unchanged. `status` is 201
 * where nothing else is said.
 */
export async function createOnce<T>(
  a: AuthorityContext,
  actor: Actor,
  http: Exchange,
  answer: { secret: boolean; status?: (body: T) => number },
  work: (joined: AuthorityContext) => Promise<T>,
): Promise<T> {
  const { request, reply } = http;
  const header = request.headers['idempotency-key'];
  const target = (request.raw.url ?? '').split('?', 1)[0] ?? '';
  const result = await withIdempotency(
    a,
    actor,
    {
      key: Array.isArray(header) ? header.join(',') : header,
      route: `${request.method} ${target}`,
      body: request.body,
      secret: answer.secret,
    },
    async (joined) => {
      const body = await work(joined);
      return { status: answer.status?.(body) ?? 201, body };
    },
  );
  if (result.replayed) void reply.header('idempotency-replayed', 'true');
  void reply.code(result.status);
  return result.body;
}
