export { createResponder, responderReadiness } from './create-responder.js';
export type { ResponderDeps } from './deps.js';
