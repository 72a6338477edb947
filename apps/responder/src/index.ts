export { createResponder } from './create-responder.js';
export type { ResponderDeps } from './deps.js';
