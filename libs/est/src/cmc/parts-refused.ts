import { AuthorityError, type ErrorKind } from '#kernel';

/** Certain parts of a full request are why all of it fails: the answer names them (RFC 5272 section 3.2.1.1). */
export class PartsRefused extends AuthorityError {
  constructor(
    kind: ErrorKind,
    detail: string,
    readonly bodyParts: readonly number[],
    options: { code?: string } = {},
  ) {
    super(kind, detail, options);
  }
}
