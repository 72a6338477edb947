import type { KeyType } from '#pki';

/** What a CA key may be used for; a key made for one purpose refuses the others. */
export type SigningPurpose = 'certificate' | 'crl' | 'request';

/** Where a CA key lives: sealed in the database under `secrets/ca.kek`, or in a PKCS#11 token that never gives it away. */
export const KEY_LOCATIONS = ['sealed', 'pkcs11'] as const;
export type KeyLocation = (typeof KEY_LOCATIONS)[number];

export interface SignRequest {
  purpose: SigningPurpose;
  keyId: string;
  /** Serial (hex) of the recorded intent, name of the artifact, or id of the CA that asks for a certificate: what a signer of its own re-derives the message from. */
  subject: { intentId: string } | { artifactId: string } | { issuerId: string };
  /** The whole bytes to be signed, never a digest: pure ML-DSA cannot sign one. */
  message: Buffer;
}

const SIGN_MS = 2000;
const MS_PER_MIB = 250;
const MIB = 1024 * 1024;

/** How long a signature may take: 2 s, and for what is large (a CRL, which nobody waits for) a quarter of a second per MiB more. */
export const signLimitMs = ({ message }: Pick<SignRequest, 'message'>): number =>
  SIGN_MS + Math.floor(message.length / MIB) * MS_PER_MIB;

export interface CaPublicKey {
  keyId: string;
  keyType: KeyType;
  /** SubjectPublicKeyInfo, DER. */
  spki: Buffer;
}

export interface KeyOptions {
  /** Default: what the signer is set up with (`TOUCHMARK_CA_KEYS`). */
  location?: KeyLocation;
}

/**
 * The only way to a CA key. Throws `unavailable` when the key cannot be used just now, `forbidden` when it is not for this
 * purpose, `notFound` for an unknown key. Signatures are as they stand in X.509 (ECDSA: DER).
 */
export interface Signer {
  sign(request: SignRequest): Promise<Buffer>;
  /** Makes a key pair; only its public half leaves the signer. `invalid` for a type that the location cannot hold. */
  createKey(keyType: KeyType, options?: KeyOptions): Promise<CaPublicKey>;
}
