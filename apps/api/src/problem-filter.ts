import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { isAuthorityError } from '#kernel';
import { fromFramework } from './framework-error.js';
import { toProblem } from './problem.js';

/** The one way an error leaves this plane, whether a handler, a hook, a parser or Nest itself raised it. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly log: Logger) {}

  catch(raised: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    sendProblem(raised, request, reply, this.log);
  }
}

export function sendProblem(raised: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): void {
  const error = fromFramework(raised, request.routeOptions.config.bodyBytes);
  const { status, headers, problem } = toProblem(error, request.id);
  if (status >= 500) {
    const level = isAuthorityError(error, 'unavailable') ? 'warn' : 'error';
    log[level](
      { err: error, cause: (error as { cause?: unknown } | null)?.cause, requestId: request.id },
      'request failed',
    );
  }
  if (reply.sent || reply.raw.headersSent) {
    reply.raw.destroy();
    return;
  }
  void reply.code(status).headers(headers).send(JSON.stringify(problem));
}
