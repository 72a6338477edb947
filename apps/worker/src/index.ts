export { createWorker } from './create-worker.js';
export type { Worker } from './create-worker.js';
export type { WorkerDeps } from './deps.js';
