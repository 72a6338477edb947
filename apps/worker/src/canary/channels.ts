/** What a run tries, in this order; each is timed. The last three are timed from the request to revoke. */
export const CHANNELS = [
  'prepare',
  'issueKey',
  'introspect',
  'enroll',
  'ocspGood',
  'introspectRevoked',
  'ocspRevoked',
  'crlRevoked',
] as const;
export type Channel = (typeof CHANNELS)[number];

/** `unreachable`: no answer; `refused`: another status than the one due; `wrong`: an answer not to be believed; `late`. */
export type FailureKind = 'unreachable' | 'refused' | 'wrong' | 'late' | 'internal';

/** What went wrong in a channel. The text is for the log of this process; it holds no body and no secret. */
export class ChannelFailure extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export function expectThat(holds: boolean, what: string): asserts holds {
  if (!holds) throw new ChannelFailure('wrong', what);
}
