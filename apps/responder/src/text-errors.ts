import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { OCSP_ERRORS } from './ocsp-errors.js';
import { textReply, write } from './reply.js';

const TEXTS: Readonly<Record<number, string>> = {
  400: 'the request cannot be read',
  404: 'there is nothing under this path; see /.well-known/touchmark',
  413: 'the request is too large; an OCSP request has at most 16384 bytes',
  415: 'send an OCSP request as application/ocsp-request',
};

/** What the framework refuses before a route is reached, as plain text: this plane speaks to libraries, not to people. */
@Catch()
export class TextErrors implements ExceptionFilter {
  constructor(private readonly log: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    answerFailure(this.log, error, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>());
  }
}

/** `/ocsp/%zz` never reaches the route: the router refuses the URL, and OCSP answers what it answers to such a request. */
export function answerFailure(log: Logger, error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const status = statusOf(error);
  reply.hijack();
  if (status === 400 && request.raw.url?.startsWith('/ocsp/') === true) {
    return write(request.raw, reply.raw, 200, OCSP_ERRORS.malformedRequest);
  }
  if (status >= 500) log.error({ err: error }, 'a request of the status plane failed');
  write(request.raw, reply.raw, status, textReply(TEXTS[status] ?? 'the request could not be answered'));
}

function statusOf(error: unknown): number {
  if (error instanceof HttpException) return error.getStatus();
  const status = (error as Partial<FastifyError> | null)?.statusCode;
  return status !== undefined && status >= 400 && status < 500 ? status : 500;
}
