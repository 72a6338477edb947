export { DeadlineSigner } from './deadline.js';
export { InProcessSigner } from './in-process.js';
export { MeasuredSigner } from './measured.js';
export { KEY_LOCATIONS } from './signer.js';
export type { CaPublicKey, KeyLocation, KeyOptions, Signer, SigningPurpose, SignRequest } from './signer.js';
