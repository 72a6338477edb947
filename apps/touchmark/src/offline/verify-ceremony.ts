import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AuthorityError } from '#kernel';
import { fromPem, readCertificate, signatureAlgorithm, verifyBytes } from '#pki';
import { readTranscript, sha256, type TranscriptLine } from './transcript.js';

export interface VerifiedCeremony {
  lines: number;
  /** Titles of the ceremonies, in their order. */
  ceremonies: string[];
  participants: string[];
  /** Files named as outputs that are there and as they were written. */
  outputsChecked: number;
  /** SHA-256 of the root's certificate, lower-case hex. */
  root: string;
}

/**
 * Checks a transcript by nothing but the root's certificate: signature over the whole, the chain of its lines, and every
 * output that lies in `files` or beside the root. Of a file that was written twice the last counts. Throws `invalid` with
 * what is wrong.
 */
export async function verifyCeremony(where: {
  transcript: string;
  signature: string;
  root: string;
  files: readonly string[];
}): Promise<VerifiedCeremony> {
  const text = await readFile(where.transcript);
  const [der] = fromPem(await readFile(where.root, 'utf8'), 'CERTIFICATE');
  const root = readCertificate(der!);
  const { keyType, keyObject } = root.publicKey;
  const signature = await readFile(where.signature);
  if (!verifyBytes(signatureAlgorithm(keyType).der, keyObject, text, signature)) {
    throw new AuthorityError('invalid', 'the transcript was not signed by this root, or was changed since');
  }
  const lines = readTranscript(text.toString('utf8'));
  const begun = lines.filter(({ event }) => event === 'begun');
  return {
    lines: lines.length,
    ceremonies: begun.map(({ title = '' }) => title),
    participants: [
      ...new Set(begun.flatMap(({ participants = [] }) => participants.map(({ name, role }) => `${name} (${role})`))),
    ],
    outputsChecked: await checkOutputs(lines, where.files),
    root: root.sha256.toString('hex'),
  };
}

async function checkOutputs(lines: readonly TranscriptLine[], directories: readonly string[]): Promise<number> {
  const last = new Map(lines.flatMap(({ outputs = [] }) => outputs.map((one) => [one.file, one.sha256] as const)));
  let checked = 0;
  for (const [file, hash] of last) {
    for (const directory of directories) {
      const found = await readFile(path.join(directory, file)).catch(() => undefined);
      if (found === undefined) continue;
      if (sha256(found) !== hash) throw new AuthorityError('invalid', `${file} is not what the ceremony wrote`);
      checked++;
      break;
    }
  }
  return checked;
}
