import { encodeBody, type LineForm } from '../base64.js';
import { errorResponse, type EstResponse } from '../response.js';

/**
 * A signed PKIResponse as an EST answer (RFC 7030 section 4.3.2, E131): 200, 202 with `Retry-After` while something waits, and the status
 * that the error has anywhere else, with the CMC body in place of a text.
 */
export function cmcResponse(
  signed: Buffer,
  form: LineForm,
  outcome: { error?: unknown; retryAfter?: number | undefined },
): EstResponse {
  const body = encodeBody(signed, form);
  const like = outcome.error === undefined ? undefined : errorResponse(outcome.error, undefined);
  const waiting = like === undefined && outcome.retryAfter !== undefined;
  return {
    status: like?.status ?? (waiting ? 202 : 200),
    headers: {
      ...like?.headers,
      ...(waiting ? { 'Retry-After': String(outcome.retryAfter) } : {}),
      'Content-Type': 'application/pkcs7-mime; smime-type=CMC-response',
      'Content-Length': String(body.length),
      'Cache-Control': 'no-store',
    },
    body,
  };
}
