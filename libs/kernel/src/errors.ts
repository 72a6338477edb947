/**
 * Every failure that a caller can act on is one of these kinds. Protocols map them in one exhaustive switch
 * (`docs/errors.md` lists them all); nothing below an app knows an HTTP status.
 */
export const ERROR_KINDS = [
  'malformed', // cannot be read: bad base64, DER, JSON, member
  'invalid', // readable, but breaks a rule of form or policy
  'unauthenticated', // no credential, or a wrong one
  'forbidden', // a known caller that may not do this
  'notFound', // absent, or not the caller's
  'conflict', // the state does not allow it, or a name is taken
  'tooLarge',
  'unsupportedType',
  'methodNotAllowed',
  'limited', // too many tries
  'unavailable', // a part we need is down; nothing was done
  'internal', // our fault
] as const;

export type ErrorKind = (typeof ERROR_KINDS)[number];

export interface ErrorOptions {
  /** Internal only: logged, never sent. */
  cause?: unknown;
  /** Seconds after which a retry makes sense; for `limited` and `unavailable`. */
  retryAfter?: number;
  /** The JSON member at fault, for `malformed` and `invalid`. */
  member?: string;
  /** Stable short name within the kind, the last segment of the problem `type`; defaults to the kind. */
  code?: string;
}

/** The one error type of the libs. `detail` is public: no secret, no SQL, no foreign identifier belongs in it. */
export class AuthorityError extends Error {
  readonly kind: ErrorKind;
  readonly detail: string;
  readonly code: string;
  readonly retryAfter: number | undefined;
  readonly member: string | undefined;

  constructor(kind: ErrorKind, detail: string, options: ErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AuthorityError';
    this.kind = kind;
    this.detail = detail;
    this.code = options.code ?? kind;
    this.retryAfter = options.retryAfter;
    this.member = options.member;
  }
}

/** True for an AuthorityError, of the given kind if one is named. */
export function isAuthorityError(error: unknown, kind?: ErrorKind): error is AuthorityError {
  return error instanceof AuthorityError && (kind === undefined || error.kind === kind);
}
