export { DeadlineSigner } from './deadline.js';
export { CircuitBreaker } from './circuit-breaker.js';
export { InProcessSigner, resealCaKey } from './in-process.js';
export type { InProcessOptions } from './in-process.js';
export { MeasuredSigner } from './measured.js';
export { KEY_LOCATIONS } from './signer.js';
export type { CaPublicKey, KeyLocation, KeyOptions, Signer, SigningPurpose, SignRequest } from './signer.js';
export { Token } from './token/token.js';
export type { TokenLog, TokenSettings } from './token/token.js';
