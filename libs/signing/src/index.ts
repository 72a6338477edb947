export { DeadlineSigner } from './deadline.js';
export { InProcessSigner } from './in-process.js';
export { MeasuredSigner } from './measured.js';
export type { CaPublicKey, Signer, SigningPurpose, SignRequest } from './signer.js';
