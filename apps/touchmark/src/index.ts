export { startInstance } from './instance.js';
export type { Instance, Plane, Urls } from './instance.js';
export { startEmbeddedPostgres } from './embedded-postgres.js';
export type { EmbeddedPostgres } from './embedded-postgres.js';
export { createLogger } from './log.js';
