export { startInstance } from './instance.js';
export type { Instance, Plane } from './instance.js';
export type { Urls } from './plane.js';
export { startEmbeddedPostgres } from './embedded-postgres.js';
export type { EmbeddedPostgres } from './embedded-postgres.js';
export { createLogger } from './log.js';
