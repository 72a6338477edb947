import { describe, expect, test } from '@jest/globals';
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { formatCheckpoint, openCheckpoint, parseCheckpoint } from './checkpoint.js';
import { cosignedText, verifyCosignature } from './cosignature.js';
import { leafHash } from './merkle.js';
import {
  COSIGNATURE_V1,
  ED25519,
  formatVerifierKey,
  noteKey,
  parseNote,
  parseVerifierKey,
  rawPublicKey,
  signatureLine,
  signNote,
  verifyNote,
} from './signed-note.js';
import { addCheckpointBody, readCosignatures, readKnownSize } from './witness-protocol.js';

/** The key and note of the tests of golang.org/x/mod/sumdb/note. */
const VKEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const SEED = Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1);
const TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const NOTE = `${TEXT}\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`;

const badKey = expect.objectContaining({ kind: 'invalid', code: 'verifierKey' });
const badNote = expect.objectContaining({ kind: 'malformed', code: 'note' });
const badSignature = expect.objectContaining({ kind: 'invalid', code: 'noteSignature' });

function signer(name: string, type: typeof ED25519 | typeof COSIGNATURE_V1 = ED25519) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return { key: noteKey(name, type, rawPublicKey(publicKey)), privateKey };
}

describe('verifier keys', () => {
  test('are read and written as others do', () => {
    const key = parseVerifierKey(VKEY);
    expect([key.name, key.id.toString('hex'), key.type]).toEqual(['PeterNeumann', 'c74f20a3', ED25519]);
    expect(formatVerifierKey(key)).toBe(VKEY);
  });

  test('no part of one, and none with a character changed, is a key', () => {
    for (let i = 0; i < VKEY.length; i++) {
      expect(() => parseVerifierKey(VKEY.slice(i + 1))).toThrow(badKey);
      expect(() => parseVerifierKey(VKEY.slice(0, i))).toThrow(badKey);
      const changed = VKEY.slice(0, i) + String.fromCharCode(VKEY.charCodeAt(i) + 1) + VKEY.slice(i + 1);
      expect(() => parseVerifierKey(changed)).toThrow(badKey);
    }
  });

  test.each([
    'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==',
    'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
    'Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
  ])('%s is refused: length, algorithm, name', (text) => {
    expect(() => parseVerifierKey(text)).toThrow(badKey);
  });
});

describe('notes', () => {
  test('one that others signed holds, and ours is the same bytes', () => {
    const key = parseVerifierKey(VKEY);
    const note = parseNote(NOTE);
    expect(note.text).toBe(TEXT);
    expect(() => verifyNote(note, key)).not.toThrow();
    const head = Buffer.from('302e020100300506032b657004220420', 'hex');
    const privateKey = createPrivateKey({ key: Buffer.concat([head, SEED]), format: 'der', type: 'pkcs8' });
    expect(signNote(TEXT, key, privateKey)).toBe(NOTE);
  });

  test('no character of the text can be changed', () => {
    const key = parseVerifierKey(VKEY);
    for (let i = 0; i < TEXT.length - 1; i++) {
      const changed = `${TEXT.slice(0, i)}#${TEXT.slice(i + 1)}${NOTE.slice(TEXT.length)}`;
      expect(() => verifyNote(parseNote(changed), key)).toThrow(badSignature);
    }
  });

  test('signatures of unknown keys are ignored, a bad one of a known key is not', () => {
    const key = parseVerifierKey(VKEY);
    const other = signer('other');
    const line = signatureLine(other.key, sign(null, Buffer.from(TEXT), other.privateKey));
    expect(() => verifyNote(parseNote(`${NOTE}${line}\n`), key)).not.toThrow();
    expect(() => verifyNote(parseNote(`${NOTE}${line}\n`), other.key)).not.toThrow();
    expect(() => verifyNote(parseNote(`${TEXT}\n${line}\n`), key)).toThrow(badSignature);
    const bad = signatureLine(key, Buffer.alloc(64));
    expect(() => verifyNote(parseNote(`${NOTE}${bad}\n`), key)).toThrow(badSignature);
    // The name or the id alone is not the key.
    const namesake = signatureLine({ name: key.name, id: other.key.id }, Buffer.alloc(64));
    expect(() => verifyNote(parseNote(`${NOTE}${namesake}\n`), key)).not.toThrow();
  });

  test('16 signatures of any size are accepted, a flood is not', () => {
    const line = (bytes: number) => `\u2014 x ${Buffer.alloc(bytes, 1).toString('base64')}\n`;
    expect(parseNote(`text\n\n${line(5000).repeat(16)}`).signatures).toHaveLength(16);
    expect(() => parseNote(`text\n\n${line(68).repeat(101)}`)).toThrow(badNote);
    expect(() => parseNote(`text\n\n${line(200_000)}`)).toThrow(badNote);
  });

  test.each([
    ['', 'nothing'],
    [TEXT, 'no signature'],
    [`${TEXT}\n`, 'no signature line'],
    [NOTE.slice(0, -1), 'no line end'],
    [NOTE.replace('\u2014', '-'), 'another dash'],
    [NOTE.replace('=', ''), 'base64 without its end'],
    [NOTE.replace('x08go', 'x08 go'), 'a space in base64'],
    [NOTE.replace('you', 'y\u0000u'), 'a control character'],
    [NOTE.replace('you', 'y\tu'), 'a tab'],
    [`${NOTE}\u2014 a+b AAAAAAA=\n`, 'a plus in a name'],
    [`${NOTE}\u2014 x AAAA\n`, 'a signature that is only an id'],
  ])('%j is none: %s', (text) => {
    expect(() => parseNote(text)).toThrow(badNote);
  });
});

describe('checkpoints', () => {
  const root = leafHash(Buffer.from('root'));
  const log = signer('touchmark/x/audit');
  const text = formatCheckpoint({ origin: 'touchmark/x/audit', size: 20_852_163, root });

  test('are read as they are written; extension lines are let through', () => {
    expect(parseCheckpoint(text)).toEqual({ origin: 'touchmark/x/audit', size: 20_852_163, root });
    expect(parseCheckpoint(`${text}extension\n`).size).toBe(20_852_163);
    expect(openCheckpoint(signNote(text, log.key, log.privateKey), log.key).root).toEqual(root);
  });

  test('the example of tlog-checkpoint is one', () => {
    const example = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';
    expect(parseCheckpoint(example).size).toBe(20_852_163);
  });

  test.each([
    'o\n1\n',
    'o\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n',
    'o\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n',
    'o\n1e3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n',
    'o\n99999999999999999999\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n',
    'o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n',
    'o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=',
    '\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n',
    'o\n1\nAAAA\n',
    'o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\nx\n',
  ])('%j is none', (bad) => {
    expect(() => parseCheckpoint(bad)).toThrow(expect.objectContaining({ kind: 'malformed', code: 'checkpoint' }));
  });

  test('one of another origin under our key is refused', () => {
    const foreign = formatCheckpoint({ origin: 'another', size: 1, root });
    expect(() => openCheckpoint(signNote(foreign, log.key, log.privateKey), log.key)).toThrow(badSignature);
  });
});

describe('cosignatures', () => {
  const witness = signer('witness.example/w1', COSIGNATURE_V1);
  const log = signer('touchmark/x/audit');
  const text = formatCheckpoint({ origin: 'touchmark/x/audit', size: 7, root: leafHash(Buffer.from('root')) });
  const note = signNote(text, log.key, log.privateKey);
  const cosign = (time: bigint, over = text) => {
    const stamp = Buffer.alloc(8);
    stamp.writeBigUInt64BE(time);
    return Buffer.concat([stamp, sign(null, Buffer.from(cosignedText(over, time)), witness.privateKey)]);
  };
  const line = (signature: Buffer) => signatureLine(witness.key, signature);

  test('hold over text and time, and over nothing else', () => {
    const good = parseNote(`${note}${line(cosign(1_700_000_000n))}\n`).signatures[1]!;
    expect(verifyCosignature(text, good, witness.key)).toBe(1_700_000_000);
    expect(verifyCosignature(text.replace('7', '8'), good, witness.key)).toBeUndefined();
    const moved = Buffer.from(good.signature);
    moved.writeBigUInt64BE(1_700_000_001n);
    expect(verifyCosignature(text, { ...good, signature: moved }, witness.key)).toBeUndefined();
    expect(verifyCosignature(text, { ...good, signature: good.signature.subarray(1) }, witness.key)).toBeUndefined();
    expect(verifyCosignature(text, good, signer('witness.example/w1', COSIGNATURE_V1).key)).toBeUndefined();
  });

  test('an answer of a witness is read with its own lines alone', () => {
    const good = line(cosign(1n));
    const foreign = signatureLine(signer('foreign', COSIGNATURE_V1).key, cosign(1n));
    expect(readCosignatures(`${foreign}\n${good}\n`, note, witness.key)).toEqual([good]);
    const refused = expect.objectContaining({ kind: 'invalid', code: 'cosignature' });
    expect(() => readCosignatures(`${foreign}\n`, note, witness.key)).toThrow(refused);
    expect(() => readCosignatures(`${line(cosign(1n, `${text}x\n`))}\n`, note, witness.key)).toThrow(refused);
    expect(() => readCosignatures('<html>', note, witness.key)).toThrow(badNote);
  });

  test('a request has the form of tlog-witness, and a 409 tells a size', () => {
    const proof = [leafHash(Buffer.from('a')), leafHash(Buffer.from('b'))];
    const lines = proof.map((one) => one.toString('base64'));
    expect(addCheckpointBody(5, proof, note)).toBe(`old 5\n${lines[0]}\n${lines[1]}\n\n${note}`);
    expect(addCheckpointBody(0, [], note)).toBe(`old 0\n\n${note}`);
    expect(readKnownSize('20852163\n')).toBe(20_852_163);
    expect(readKnownSize('0\n')).toBe(0);
    for (const bad of ['', '01\n', '-1\n', '1e3\n', 'size\n']) expect(readKnownSize(bad)).toBeUndefined();
  });
});
