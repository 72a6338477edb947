import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { recordRefusal, type AuthorityContext } from '#authority';
import { challenges, errorResponse, EST_OPERATIONS, readBasic } from '#est';
import { isAuthorityError, type AuthorityError } from '#kernel';
import type { AuthenticationMethod, EstLabel } from '#policy';
import { addressOf } from './arrival.js';
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
    sendError(error, request, reply, this.log);
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
    return readBasic(request.headers.authorization)?.user;
  } catch {
    return undefined;
  }
}

export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): void {
  const response = errorResponse(error, request.headers.accept);
  if (response.status >= 500) {
    const level = isAuthorityError(error, 'unavailable') ? 'warn' : 'error';
    log[level](
      { err: error, cause: (error as { cause?: unknown } | null)?.cause, requestId: request.id },
      'request failed',
    );
  }
  if (reply.sent || reply.raw.headersSent) reply.raw.destroy();
  else void sendEst(reply, response, response.status === 401 ? challengesOf(request.estLabel) : {});
}

/** What the label takes; where there is none, what shipped labels take. */
function challengesOf(label: EstLabel | null): Record<string, string[]> {
  const takes = (...ways: AuthenticationMethod[]) => ways.some((way) => label?.authentication.includes(way) === true);
  return { 'WWW-Authenticate': challenges({ basic: takes('secret', 'apiKey'), bearer: takes('apiKey', 'account') }) };
}
