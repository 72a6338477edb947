export { createSigner } from './create-signer.js';
export type { SignerDeps, SignerService } from './create-signer.js';
