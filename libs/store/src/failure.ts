import { AuthorityError } from '#kernel';

interface DriverError {
  code?: string;
  message?: string;
  driverError?: DriverError;
  constraint?: string;
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const e = error as DriverError;
  return e.driverError?.code ?? e.code;
}

/** Serialization failure or deadlock: the transaction may simply run again. */
export function isRetryable(error: unknown): boolean {
  const code = codeOf(error);
  return code === '40001' || code === '40P01';
}

/** Name of the unique constraint that an insert broke, if that is what happened. */
export function brokenUnique(error: unknown): string | undefined {
  if (codeOf(error) !== '23505') return undefined;
  const e = error as DriverError;
  return e.driverError?.constraint ?? e.constraint ?? '';
}

const UNREACHABLE =
  /^(08...|57P0[123]|53...|ECONNREFUSED|ECONNRESET|ENOENT|EPIPE|ETIMEDOUT|ENOTFOUND|EHOSTUNREACH|55P03|57014)$/;

/** A database that cannot be reached, is shutting down, has no connection, disk or memory left or ran into a time limit is `unavailable`. */
export function toAuthorityError(cause: unknown): AuthorityError {
  const code = codeOf(cause);
  const text = cause instanceof Error ? cause.message : '';
  if (
    (code !== undefined && UNREACHABLE.test(code)) ||
    /connection terminated|connection timeout|timeout exceeded when trying to connect|not queryable|client was closed|driver not connected/i.test(
      text,
    )
  ) {
    return new AuthorityError(
      'unavailable',
      'the database cannot be reached just now; nothing was changed, try again',
      {
        cause,
        retryAfter: 2,
      },
    );
  }
  return new AuthorityError('internal', 'the request could not be completed', { cause });
}
