import { verify } from 'node:crypto';
import { COSIGNATURE_V1, type NoteKey, type NoteSignature } from './signed-note.js';

const SIGNATURE_BYTES = 64;

/**
 * C2SP tlog-cosignature, Ed25519: seconds since the epoch at which the witness signed the checkpoint `text`, or undefined
 * where the signature does not hold.
 */
export function verifyCosignature(text: string, { signature }: NoteSignature, key: NoteKey): number | undefined {
  if (key.type !== COSIGNATURE_V1 || signature.length !== 8 + SIGNATURE_BYTES) return undefined;
  const time = signature.readBigUInt64BE(0);
  if (time > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  const holds = verify(null, Buffer.from(cosignedText(text, time)), key.publicKey, signature.subarray(8));
  return holds ? Number(time) : undefined;
}

/** What a witness signs. */
export function cosignedText(text: string, time: bigint): string {
  return `cosignature/v1\ntime ${time}\n${text}`;
}
