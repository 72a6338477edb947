import { HttpException } from '@nestjs/common';
import { AuthorityError } from '#kernel';

export const MAX_BODY_BYTES = 65_536;

const BY_CODE: Readonly<Record<string, () => AuthorityError>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
    new AuthorityError(
      'unsupportedType',
      'the body must have the Content-Type that this route names, application/json unless told otherwise',
    ),
  FST_ERR_CTP_EMPTY_JSON_BODY: () => new AuthorityError('malformed', 'the body is empty; send a JSON object'),
  FST_ERR_CTP_INVALID_JSON_BODY: () => new AuthorityError('malformed', 'the body is not JSON'),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    new AuthorityError('malformed', 'the body is not as long as Content-Length says'),
  FST_ERR_BAD_URL: () => new AuthorityError('malformed', 'the path cannot be decoded'),
};

/** What Fastify and Nest throw, in our own terms. `bodyLimit`: of the route. Their texts never leave: some repeat what the caller sent. */
export function fromFramework(error: unknown, bodyLimit = MAX_BODY_BYTES): unknown {
  const cause = error instanceof HttpException ? (error.cause ?? error) : error;
  const code = (cause as { code?: unknown } | null)?.code;
  const known = typeof code === 'string' ? BY_CODE[code]?.() : undefined;
  if (known !== undefined) return known;
  const status =
    error instanceof HttpException ? error.getStatus() : (cause as { statusCode?: unknown } | null)?.statusCode;
  switch (status) {
    case 400:
      return new AuthorityError('malformed', 'the request cannot be read', { cause: error });
    case 404:
    case 414:
      return new AuthorityError('notFound', 'there is nothing at this path', { cause: error });
    case 413:
      return new AuthorityError('tooLarge', `the body is larger than ${bodyLimit} bytes`, { cause: error });
    case 415:
      return new AuthorityError('unsupportedType', 'the Content-Type is not supported here', { cause: error });
    default:
      return error;
  }
}
