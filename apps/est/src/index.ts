export { listenForProxy } from './proxy-socket.js';
export { createEst, renewTls } from './create-est.js';
export type { EstDependencies } from './create-est.js';
export type { TlsCredentials } from './tls.js';
