export { createApi, renewTls } from './create-api.js';
export type { ApiDependencies } from './create-api.js';
export type { TlsCredentials } from './tls.js';
