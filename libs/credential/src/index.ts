export { decodeBase62, encodeBase62 } from './base62.js';
export { encodeFields, encodeParts, rowEncoder } from './fields.js';
export {
  KEY_ID_LENGTH,
  mintApiKey,
  mintEnrollmentSecret,
  mintInvitation,
  mintOperatorToken,
  parseCredential,
} from './text.js';
export type { Credential, CredentialKind, Environment } from './text.js';
export { cmcSharedSecret, openVerifier, sealContext, sealVerifier, verifierHash, verifierMatches } from './verifier.js';
export type { Pepper } from './verifier.js';
export { derivationRoot, derivedSecret, feedVerifier } from './derive.js';
export { makeBoxKeys, openBox, sealToBox } from './box.js';
export { answerKey, open, reseal, seal } from './seal.js';
export { KeyRing } from './key-ring.js';
export type { KeyVersion, SealingKey } from './key-ring.js';
export { CHAIN_START, chainMac, chainMacRow, rowMac } from './mac.js';
export { CREDENTIAL_PATTERN, redactCredentials } from './redact.js';
