import { expect, test } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { formatCheckpoint } from './checkpoint.js';
import { GrowingTree, leafHash } from './merkle.js';
import { ED25519, noteKey, parseVerifierKey, rawPublicKey, signNote } from './signed-note.js';
import { verifyExport } from './verify-export.js';

const pair = generateKeyPairSync('ed25519');
const key = noteKey('touchmark/x/audit', ED25519, rawPublicKey(pair.publicKey));
const other = noteKey('touchmark/x/audit', ED25519, rawPublicKey(generateKeyPairSync('ed25519').publicKey));
const lines = Array.from({ length: 300 }, (_, n) => `{"action":"key.issued","n":${n}}`);
const good = lines.map((line) => `${line}\n`).join('');
const tree = new GrowingTree();
for (const line of lines) tree.add(leafHash(Buffer.from(line)));
const note = signNote(formatCheckpoint({ origin: key.name, size: 300, root: tree.root() }), key, pair.privateKey);

async function* pieces(text: string, length: number): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

test.each([1, 2, 7, 33, 34, 35, 1024, 1_000_000])('holds, read in pieces of %i bytes', async (length) => {
  await expect(verifyExport(pieces(good, length), key, note)).resolves.toMatchObject({ origin: key.name, size: 300 });
});

const swapped = [lines[1], lines[0], ...lines.slice(2)].map((line) => `${line}\n`).join('');
test.each([
  ['an edited line', good.replace('"n":17}', '"n":18}'), /^the 300 lines are not the leaves that were signed/],
  [
    'a line of another form',
    good.replace('{"action":"key.issued","n":17}', '{"canonical":""}'),
    /line 18 is not an entry/,
  ],
  ['two lines that changed places', swapped, /are not the leaves/],
  ['a line end of another system', good.replaceAll('\n', '\r\n'), /are not the leaves/],
  ['a space at the end of a line', good.replace('}\n', '} \n'), /are not the leaves/],
  ['no last line', good.slice(0, good.lastIndexOf('{')), /^too few lines: 299, and the checkpoint has 300 leaves$/],
  ['nothing', '', /^too few lines: 0/],
  ['a line more', `${good}{"action":"x"}\n`, /^too many lines: the checkpoint has 300 leaves/],
  ['an empty line more', `${good}\n`, /^too many lines/],
  ['bytes after the last line', `${good}x`, /^line 301 has no end: the file was cut off$/],
  ['a last line that was cut off', good.slice(0, -1), /^line 300 has no end/],
  ['a line without an end in sight', 'x'.repeat(2_000_000), /^line 1 is longer than any entry$/],
])('%s fails, and says so', async (_, text, said) => {
  await expect(verifyExport(pieces(text, 4096), key, note)).rejects.toMatchObject({
    kind: 'invalid',
    detail: expect.stringMatching(said) as unknown as string,
  });
});

test('trusts no checkpoint but one of this key, whatever else signed it', async () => {
  await expect(verifyExport(pieces(good, 4096), other, note)).rejects.toThrow(/is not signed by touchmark/);
  const forged = signNote(note.slice(0, note.indexOf('\n\n') + 1), other, generateKeyPairSync('ed25519').privateKey);
  await expect(verifyExport(pieces(good, 4096), key, forged)).rejects.toThrow(/is not signed by touchmark/);
  await expect(verifyExport(pieces(good, 4096), key, note.replace('\n300\n', '\n299\n'))).rejects.toThrow(
    /the signature of touchmark\/x\/audit does not hold/,
  );
  const golang = parseVerifierKey('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW');
  await expect(verifyExport(pieces(good, 4096), golang, note)).rejects.toMatchObject({ code: 'noteSignature' });
  await expect(verifyExport(pieces(good, 4096), key, good)).rejects.toMatchObject({ kind: 'malformed' });
});
