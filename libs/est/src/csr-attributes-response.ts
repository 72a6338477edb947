import { createHash } from 'node:crypto';
import { encodeBody, type LineForm } from './base64.js';
import type { EstResponse } from './response.js';

/** As long as cacerts: a changed profile should reach clients soon. */
const CACHING = 'public, max-age=300';

/**
 * 200 with CsrAttrs, or 204 when there is nothing to ask for (RFC 8951 section 4; E120). What is meant for one client is not stored by
 * anybody; the rest has an ETag and is stored for five minutes.
 */
export function csrAttributesResponse(
  der: Buffer | undefined,
  form: LineForm,
  options: { personal: boolean },
): EstResponse {
  const caching = options.personal ? { 'Cache-Control': 'no-store' } : { 'Cache-Control': CACHING };
  if (der === undefined) return { status: 204, headers: caching, body: Buffer.alloc(0) };
  const body = encodeBody(der, form);
  const headers: Record<string, string> = {
    'Content-Type': 'application/csrattrs',
    'Content-Length': String(body.length),
    ...caching,
  };
  if (!options.personal) {
    headers['ETag'] = `"${createHash('sha256').update(body).digest('hex')}"`;
    headers['Vary'] = 'User-Agent, Authorization';
  }
  return { status: 200, headers, body };
}
