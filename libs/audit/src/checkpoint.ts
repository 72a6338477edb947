import { AuthorityError } from '#kernel';
import { HASH_BYTES } from './merkle.js';
import { parseNote, verifyNote, type Note, type NoteKey } from './signed-note.js';

/** C2SP tlog-checkpoint: what a log says its tree is. */
export interface Checkpoint {
  origin: string;
  /** Number of leaves. */
  size: number;
  root: Buffer;
}

/** The text that is signed. */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toString('base64')}\n`;
}

/** Extension lines are let through and not read. Throws `malformed`, code `checkpoint`. */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin = '', sizeText = '', rootText = '', ...rest] = text.split('\n');
  const root = Buffer.from(rootText, 'base64');
  const size = /^(?:0|[1-9]\d{0,15})$/.test(sizeText) ? Number(sizeText) : NaN;
  if (rest.length === 0 || rest.pop() !== '' || rest.includes('')) throw unreadable('its lines');
  if (origin === '') throw unreadable('its origin');
  if (!Number.isSafeInteger(size)) throw unreadable('its size');
  if (root.length !== HASH_BYTES || root.toString('base64') !== rootText) throw unreadable('its root');
  return { origin, size, root };
}

/**
 * A checkpoint that the log with this key signed; our logs sign under their origin. Throws `malformed` for what cannot be
 * read, `invalid` with code `noteSignature` for what this key did not sign.
 */
export function openCheckpoint(text: string, key: NoteKey): Checkpoint & { note: Note } {
  const note = parseNote(text);
  verifyNote(note, key);
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== key.name) {
    throw new AuthorityError('invalid', `the checkpoint is of ${checkpoint.origin}, the key of ${key.name}`, {
      code: 'noteSignature',
    });
  }
  return { ...checkpoint, note };
}

const unreadable = (what: string) =>
  new AuthorityError('malformed', `this is no checkpoint: ${what} cannot be read`, { code: 'checkpoint' });
