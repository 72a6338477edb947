import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { textReply, write } from './reply.js';

type Handler = (request: FastifyRequest, reply: FastifyReply) => void;

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

/** Registers the handlers of one URL, HEAD like GET, and 405 with Allow for every other method. */
export function serve(fastify: FastifyInstance, url: string, handlers: { GET: Handler; POST?: Handler }): void {
  const { GET, POST } = handlers;
  fastify.route({ method: ['GET', 'HEAD'], url, exposeHeadRoute: false, handler: GET });
  if (POST !== undefined) fastify.route({ method: 'POST', url, handler: POST });
  const allowed: string[] = POST === undefined ? ['GET', 'HEAD'] : ['GET', 'HEAD', 'POST'];
  const refusal = textReply(`use ${allowed.join(', ')}`, ['Allow', allowed.join(', ')]);
  fastify.route({
    method: METHODS.filter((method) => !allowed.includes(method)),
    url,
    // Before the body is read: another method is refused whatever it carries.
    onRequest: (request, reply) => {
      reply.hijack();
      write(request.raw, reply.raw, 405, refusal);
    },
    handler: () => undefined,
  });
}
