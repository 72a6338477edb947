import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { recordRefusal, type AuthorityContext } from '#authority';
import { errorResponse, EST_OPERATIONS, readBasic, readDigest } from '#est';
import { isAuthorityError, type AuthorityError } from '#kernel';
import { addressOf } from './arrival.js';
import { challengesOf } from './challenges.js';
import { sendEst } from './est-routes.js';
import { fromFramework } from './framework-error.js';

/**
 * The one way an error leaves this plane: a line of text, or problem+json for whoever names it (E89, E90), never the
 * framework's own form. A refused enrollment is audited here unless the use case has done so.
 */
@Catch()
export class EstFilter implements ExceptionFilter {
  constructor(
    private readonly authority: AuthorityContext,
    private readonly log: Logger,
  ) {}

  async catch(raised: unknown, host: ArgumentsHost): Promise<void> {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const error = fromFramework(raised);
    if (isAuthorityError(error) && (asksForCertificate(request) || error.code === 'clientCertUntrusted'))
      await this.record(request, error);
    sendError(this.authority, error, request, reply, this.log);
  }

  private async record(request: FastifyRequest, error: AuthorityError): Promise<void> {
    request.refusalAudited = true;
    const { id: requestId } = request;
    const address = addressOf(request);
    const operation = request.estOperation ?? 'unknown';
    const claimedUser = userOf(request);
    await recordRefusal(this.authority, { address, requestId, operation, claimedUser, error }).catch(
      (cause: unknown) => {
        this.log.error({ err: cause, requestId }, 'a refusal could not be audited');
      },
    );
  }
}

function asksForCertificate(request: FastifyRequest): boolean {
  const { estOperation: operation } = request;
  const enrolls = operation !== null && EST_OPERATIONS[operation].method === 'POST';
  return enrolls && request.method === 'POST' && !request.refusalAudited;
}

/** Who the refused one says it is, where that can be read; nobody has checked it. */
function userOf(request: FastifyRequest): string | undefined {
  try {
    const { authorization } = request.headers;
    const digest = request.estLabel?.digest === true ? readDigest(authorization) : undefined;
    return digest?.user ?? readBasic(authorization)?.user;
  } catch {
    return undefined;
  }
}

export function sendError(
  authority: AuthorityContext,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Logger,
): void {
  const response = errorResponse(error, request.headers.accept);
  if (response.status >= 500) {
    const level = isAuthorityError(error, 'unavailable') ? 'warn' : 'error';
    log[level](
      { err: error, cause: (error as { cause?: unknown } | null)?.cause, requestId: request.id },
      'request failed',
    );
  }
  if (reply.sent || reply.raw.headersSent) reply.raw.destroy();
  else void sendEst(reply, response, response.status === 401 ? challengesOf(authority, request.estLabel, error) : {});
}
