import { AuthorityError } from '#kernel';
import { MAX_BODY_BYTES } from '#est';

/** What Fastify and Nest throw before or beside our own code, in our own terms. */
export function fromFramework(raised: unknown): unknown {
  const { cause, code, statusCode, status } = (raised ?? {}) as Record<string, unknown>;
  const inner = code ?? (cause as Record<string, unknown> | undefined)?.['code'];
  switch (inner) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new AuthorityError('tooLarge', `The body is larger than ${MAX_BODY_BYTES} bytes`);
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new AuthorityError('malformed', 'The body is not as long as Content-Length says');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new AuthorityError('unsupportedType', 'The Content-Type cannot be read');
    default:
      break;
  }
  if (raised instanceof AuthorityError) return raised;
  switch (statusCode ?? status) {
    case 404:
    case 414:
      return notServed();
    case 400:
      // A path that cannot be percent-decoded names nothing (E07).
      return inner === 'FST_ERR_BAD_URL' ? notServed() : new AuthorityError('malformed', 'The request cannot be read');
    case 413:
      return new AuthorityError('tooLarge', `The body is larger than ${MAX_BODY_BYTES} bytes`);
    default:
      return raised;
  }
}

export const notServed = (): AuthorityError => new AuthorityError('notFound', 'There is nothing at this path');
