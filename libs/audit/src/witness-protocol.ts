import { AuthorityError } from '#kernel';
import { verifyCosignature } from './cosignature.js';
import { parseNote, parseSignatureLine, signaturesOf, type NoteKey } from './signed-note.js';

const MAX_PROOF_LINES = 63;

/** Body of `add-checkpoint` (C2SP tlog-witness): the size that the witness knows, the proof from there, the checkpoint. */
export function addCheckpointBody(oldSize: number, proof: readonly Buffer[], note: string): string {
  if (proof.length > MAX_PROOF_LINES) throw new AuthorityError('internal', `a proof of ${proof.length} hashes`);
  return `old ${oldSize}\n${proof.map((one) => `${one.toString('base64')}\n`).join('')}\n${note}`;
}

/**
 * The lines of a 200 that are this witness's cosignatures of the checkpoint; others are ignored. Throws `invalid`, code
 * `cosignature`, where none is, or one does not hold.
 */
export function readCosignatures(answer: string, checkpoint: string, key: NoteKey): string[] {
  const { text } = parseNote(checkpoint);
  const signatures = answer
    .split('\n')
    .filter((line) => line !== '')
    .map(parseSignatureLine);
  const own = signaturesOf({ signatures }, key);
  if (own.length === 0 || own.some((one) => verifyCosignature(text, one, key) === undefined)) {
    throw new AuthorityError('invalid', `the answer holds no good cosignature of ${key.name}`, { code: 'cosignature' });
  }
  return own.map(({ line }) => line);
}

/** The size in a 409 of type text/x.tlog.size; undefined for another 409. */
export function readKnownSize(answer: string): number | undefined {
  const [, size] = /^(0|[1-9]\d{0,14})\n?$/.exec(answer) ?? [];
  return size === undefined ? undefined : Number(size);
}
