export { createApi, renewTls } from './create-api.js';
export type { ApiDependencies } from './create-api.js';
export type { TlsCredentials } from './tls.js';
export { parseOidcSettings } from './sign-in/oidc-settings.js';
export type { OidcSettings } from './sign-in/oidc-settings.js';
