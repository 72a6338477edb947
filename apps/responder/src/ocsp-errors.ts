import { ocspError, type OcspErrorStatus } from '#pki';
import { uncacheable, type Reply } from './reply.js';

export const OCSP_RESPONSE_TYPE = 'application/ocsp-response';

/** Error statuses are unsigned, ride in HTTP 200 (O04) and must not be kept (O10). */
export const OCSP_ERRORS: Readonly<Record<OcspErrorStatus, Reply>> = {
  malformedRequest: errorReply('malformedRequest'),
  internalError: errorReply('internalError'),
  tryLater: errorReply('tryLater'),
  sigRequired: errorReply('sigRequired'),
  unauthorized: errorReply('unauthorized'),
};

function errorReply(status: OcspErrorStatus): Reply {
  return uncacheable(OCSP_RESPONSE_TYPE, ocspError(status));
}
