export { createEst, renewTls } from './create-est.js';
export type { EstDependencies } from './create-est.js';
export type { TlsCredentials } from './tls.js';
