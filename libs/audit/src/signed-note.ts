import { createPublicKey, hash, sign, verify, type KeyObject } from 'node:crypto';
import { AuthorityError } from '#kernel';

/** Signature types of C2SP signed-note: Ed25519 over the text, and the timestamped cosignature of a witness. */
export const ED25519 = 1;
export const COSIGNATURE_V1 = 4;

/** What a verifier key (vkey) says: who signs, how, and with which key. */
export interface NoteKey {
  name: string;
  type: typeof ED25519 | typeof COSIGNATURE_V1;
  /** The first four bytes of SHA-256(name || 0x0A || type || public key). */
  id: Buffer;
  publicKey: KeyObject;
}

export interface NoteSignature {
  name: string;
  id: Buffer;
  signature: Buffer;
  /** As it stands in the note, without its line end. */
  line: string;
}

export interface Note {
  /** What is signed: ends with a line end. */
  text: string;
  signatures: NoteSignature[];
}

/** Room for 16 post-quantum signatures, which every reader must accept. */
const MAX_NOTE_BYTES = 128 * 1024;
const MAX_SIGNATURES = 100;
const MAX_NAME = 255;
const RAW_KEY_BYTES = 32;
/** RFC 8410 section 4: SubjectPublicKeyInfo of Ed25519, up to the 32 key bytes. */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex');
const SIGNATURE_LINE = /^\u2014 (\S+) (\S+)$/u;

/** Ed25519, 32 raw bytes. */
export function noteKey(name: string, type: NoteKey['type'], raw: Buffer): NoteKey {
  if (raw.length !== RAW_KEY_BYTES) throw badKey('an Ed25519 key has 32 bytes');
  if (!isKeyName(name)) throw badKey('a key name holds no space and no plus');
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_HEAD, raw]), format: 'der', type: 'spki' });
  return { name, type, id: keyId(name, type, raw), publicKey };
}

/** `<name>+<key id in hex>+<base64 of type and key>`. */
export function formatVerifierKey({ name, type, id, publicKey }: NoteKey): string {
  const raw = rawPublicKey(publicKey);
  return `${name}+${id.toString('hex')}+${Buffer.concat([Buffer.of(type), raw]).toString('base64')}`;
}

/** Throws `invalid`, code `verifierKey`, for anything that is not the key of a signer whom this code can check. */
export function parseVerifierKey(text: string): NoteKey {
  // Base64 may hold a plus itself.
  const [, name = '', id, base64 = ''] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text) ?? [];
  const bytes = strictBase64(base64);
  const type = bytes?.[0];
  if (id === undefined || bytes === undefined) throw badKey('it has the form <name>+<id>+<base64>');
  if (type !== ED25519 && type !== COSIGNATURE_V1) throw badKey(`signatures of type ${type} are not known here`);
  const key = noteKey(name, type, bytes.subarray(1));
  if (key.id.toString('hex') !== id) throw badKey('its id is not that of its key');
  return key;
}

/** `text` and one Ed25519 signature under it. */
export function signNote(text: string, key: NoteKey, privateKey: KeyObject): string {
  return `${text}\n${signatureLine(key, sign(null, Buffer.from(text), privateKey))}\n`;
}

export function signatureLine({ name, id }: Pick<NoteKey, 'name' | 'id'>, signature: Buffer): string {
  return `\u2014 ${name} ${Buffer.concat([id, signature]).toString('base64')}`;
}

/** Reads without believing. Throws `malformed`, code `note`. */
export function parseNote(note: string): Note {
  if (Buffer.byteLength(note) > MAX_NOTE_BYTES) throw badNote('it is too long');
  if (/[\u0000-\u0009\u000b-\u001f\ufffd]/u.test(note) || !note.isWellFormed()) {
    throw badNote('it holds what is not text');
  }
  const end = note.lastIndexOf('\n\n');
  if (end === -1 || !note.endsWith('\n')) throw badNote('it has no signatures');
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw badNote(`it has more than ${MAX_SIGNATURES} signatures`);
  return { text: note.slice(0, end + 1), signatures: lines.map(parseSignatureLine) };
}

/** Throws `malformed`, code `note`. */
export function parseSignatureLine(line: string): NoteSignature {
  const [, name = '', base64 = ''] = SIGNATURE_LINE.exec(line) ?? [];
  const bytes = strictBase64(base64);
  if (!isKeyName(name) || bytes === undefined || bytes.length < 5) throw badNote('a signature line cannot be read');
  return { name, id: bytes.subarray(0, 4), signature: bytes.subarray(4), line };
}

/**
 * Signatures of other keys say nothing. Every one of this key must hold, and there must be one. Throws `invalid`, code
 * `noteSignature`.
 */
export function verifyNote(note: Note, key: NoteKey): void {
  const own = signaturesOf(note, key);
  if (own.length === 0) throw badSignature(`it is not signed by ${key.name} with key ${key.id.toString('hex')}`);
  const text = Buffer.from(note.text);
  if (!own.every(({ signature }) => verify(null, text, key.publicKey, signature))) {
    throw badSignature(`the signature of ${key.name} does not hold`);
  }
}

/** Those under the key's name and id. */
export function signaturesOf(note: Pick<Note, 'signatures'>, key: NoteKey): NoteSignature[] {
  return note.signatures.filter(({ name, id }) => name === key.name && id.equals(key.id));
}

/** Of an Ed25519 key: 32 bytes. */
export function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' }).subarray(SPKI_HEAD.length);
}

function keyId(name: string, type: number, raw: Buffer): Buffer {
  const input = Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(type), raw]);
  return hash('sha256', input, 'buffer').subarray(0, 4);
}

function isKeyName(name: string): boolean {
  return name !== '' && name.length <= MAX_NAME && !/[\s+]/u.test(name);
}

/** Decoding skips what is not base64: only a text that comes back the same was whole. */
function strictBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return text !== '' && bytes.toString('base64') === text ? bytes : undefined;
}

const badKey = (why: string) =>
  new AuthorityError('invalid', `this is no verifier key: ${why}`, { code: 'verifierKey' });
const badNote = (why: string) => new AuthorityError('malformed', `this is no signed note: ${why}`, { code: 'note' });
const badSignature = (why: string) =>
  new AuthorityError('invalid', `the note is not to be believed: ${why}`, { code: 'noteSignature' });
