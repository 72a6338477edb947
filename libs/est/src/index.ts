export { EST_OPERATIONS, isReservedLabel, parseEstPath } from './path.js';
export type { EstOperation } from './path.js';
export { decodeBody, encodeBody, lineForm, MAX_BODY_BYTES } from './base64.js';
export type { LineForm } from './base64.js';
export { CHALLENGE, checkContentEncoding, checkContentType, readBasic } from './headers.js';
export { certsOnlyResponse, errorResponse, pendingResponse } from './response.js';
export type { EstResponse } from './response.js';
