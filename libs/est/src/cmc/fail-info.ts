import type { AuthorityError } from '#kernel';
import { PartsRefused } from './parts-refused.js';
import type { CmcStatusInfo } from './pki-response.js';

/** CMCStatus (RFC 5272 section 6.1.1), those that are answered here. */
export const CMC_STATUS = { success: 0, failed: 2, pending: 3, noSupport: 4 } as const;
export type CmcStatus = keyof typeof CMC_STATUS;

/** CMCFailInfo (RFC 5272 section 6.1.4). */
export const CMC_FAIL_INFO = {
  badAlg: 0,
  badMessageCheck: 1,
  badRequest: 2,
  badTime: 3,
  badCertId: 4,
  unsupportedExt: 5,
  mustArchiveKeys: 6,
  badIdentity: 7,
  popRequired: 8,
  popFailed: 9,
  noKeyReuse: 10,
  internalCAError: 11,
  tryLater: 12,
  authDataFail: 13,
} as const;
export type CmcFailInfo = keyof typeof CMC_FAIL_INFO;

/** What an error says in CMC; what has a code of its own is told by it, the rest by its kind. */
export function failInfoOf(error: AuthorityError): CmcFailInfo {
  switch (error.code) {
    case 'badSignature':
    case 'channelBinding':
    case 'popByRa':
    case 'popLink':
      return 'popFailed';
    case 'popRequired':
      return 'popRequired';
    case 'unsupportedAlgorithm':
    case 'unsupportedKey':
    case 'keyType':
    case 'weakKey':
      return 'badAlg';
    case 'keyBlocked':
    case 'keyReuse':
      return 'noKeyReuse';
    case 'unsupportedExtension':
    case 'usage':
      return 'unsupportedExt';
    case 'badMessageCheck':
      return 'badMessageCheck';
    case 'badTime':
      return 'badTime';
    case 'badCertId':
      return 'badCertId';
    default:
      return byKind(error);
  }
}

function byKind({ kind }: AuthorityError): CmcFailInfo {
  switch (kind) {
    case 'malformed':
    case 'invalid':
    case 'notFound':
    case 'conflict':
    case 'tooLarge':
    case 'unsupportedType':
    case 'methodNotAllowed':
      return 'badRequest';
    case 'unauthenticated':
    case 'forbidden':
      return 'badIdentity';
    case 'limited':
    case 'unavailable':
      return 'tryLater';
    case 'internal':
      return 'internalCAError';
    default:
      return kind satisfies never;
  }
}

/** What an error says of these parts, or of those that it names itself; a request of a form that is not known is not failed but not supported. */
export function failedStatus(error: AuthorityError, bodyParts: readonly number[]): CmcStatusInfo {
  const unsupported = error.code === 'noSupport';
  return {
    status: unsupported ? 'noSupport' : 'failed',
    bodyList: [...(error instanceof PartsRefused ? error.bodyParts : bodyParts)],
    text: error.kind === 'internal' ? undefined : error.detail,
    failInfo: unsupported ? undefined : failInfoOf(error),
    pending: undefined,
  };
}
