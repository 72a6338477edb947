import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AuthorityError, type Clock } from '#kernel';
import { fromPem, OID, toPem, type CrlReason } from '#pki';
import { replaceFile } from '../home.js';
import type { CeremonyScript, CeremonyStep } from './ceremony-script.js';
import { OfflineRoot } from './offline-root.js';
import { sha256, Transcript, type FileHash, type TranscriptFacts } from './transcript.js';

export const TRANSCRIPT = 'transcript.jsonl';
export const SIGNATURE = 'transcript.sig';

export interface CeremonyTools {
  /** Where the root is, or will be. */
  directory: string;
  /** Files of the script are looked for, and written, here. */
  files: string;
  passphrase: string;
  clock: Clock;
  /** Name and release of what does it. */
  tool: string;
  /** Asked before each step; who says yes. Throws to end it. */
  confirm(step: string): Promise<string>;
  tell(line: string): void;
}

/**
 * Does what a script says, step by step, each confirmed before and written down after. The transcript carries on an earlier
 * one of the same root; at the end the root's key signs all of it (`transcript.sig`), also where a step failed.
 */
export async function runCeremony(script: CeremonyScript, tools: CeremonyTools): Promise<void> {
  const { title, place, participants, steps } = script;
  let root = steps[0]?.do === 'init' ? undefined : await openRoot(tools);
  const pending: TranscriptFacts[] = [];
  const begun: TranscriptFacts = { event: 'begun', title, ...(place && { place }), tool: tools.tool, participants };
  // A root that is still to be made has no directory yet: what was said before is written when it is there.
  let transcript = root && (await openTranscript(tools));
  const write = async (facts: TranscriptFacts): Promise<void> => {
    if (transcript === undefined) pending.push(facts);
    else await transcript.add(facts);
  };
  await write(begun);
  try {
    for (const [index, step] of steps.entries()) {
      const text = describe(step);
      const confirmedBy = await tools.confirm(`${index + 1}. ${text}`);
      const { made, ...done } = await doStep(step, tools, root);
      root = made ?? root;
      if (made !== undefined) {
        transcript = await openTranscript(tools);
        for (const facts of pending.splice(0)) await transcript.add(facts);
      }
      await write({ event: 'step', step: text, confirmedBy, ...done });
      for (const { file, sha256: hash } of done.outputs ?? []) tools.tell(`   wrote ${file}  sha256 ${hash}`);
    }
    await write({ event: 'ended' });
  } catch (error) {
    await write({ event: 'aborted', detail: { error: error instanceof Error ? error.message : String(error) } });
    throw error;
  } finally {
    if (root !== undefined) await signTranscript(root);
  }
}

const openTranscript = ({ directory, clock }: CeremonyTools): Promise<Transcript> =>
  Transcript.open(path.join(directory, TRANSCRIPT), clock);

const openRoot = ({ directory, passphrase, clock }: CeremonyTools): Promise<OfflineRoot> =>
  OfflineRoot.open(directory, passphrase, clock);

async function signTranscript(root: OfflineRoot): Promise<void> {
  const text = await readFile(path.join(root.directory, TRANSCRIPT));
  const signature = root.signText(text);
  const file = path.join(root.directory, SIGNATURE);
  await writeFile(file, signature, { mode: 0o644, flush: true });
}

function describe(step: CeremonyStep): string {
  switch (step.do) {
    case 'init':
      return `make the root ${step.name} (${step.keyType}, ${step.years} years)`;
    case 'sign':
      return `certify the CA of ${step.csr} for ${step.years} years, path length ${step.pathLen ?? 'unlimited'}`;
    case 'revoke':
      return `revoke ${step.serial} (${step.reason})`;
    case 'crl':
      return `sign a CRL for ${step.days} days`;
    case 'note':
      return step.text;
  }
}

type Done = Pick<TranscriptFacts, 'inputs' | 'outputs' | 'detail'> & { made?: OfflineRoot };

async function doStep(step: CeremonyStep, tools: CeremonyTools, root: OfflineRoot | undefined): Promise<Done> {
  if (step.do === 'note') return {};
  if (step.do === 'init') return makeRoot(step, tools, root);
  if (root === undefined) throw new AuthorityError('invalid', 'the first step must make the root: there is none');
  switch (step.do) {
    case 'sign': {
      const csr = await readFile(path.join(tools.files, step.csr));
      const { statusUrl, years, nameConstraints } = step;
      const der = await root.sign(requestOf(csr), {
        ...{ statusUrl: statusUrl.replace(/\/$/, ''), years, nameConstraints },
        pathLen: step.pathLen ?? undefined,
      });
      const inputs = [{ file: step.csr, sha256: sha256(csr) }];
      return { inputs, outputs: [await output(tools, step.out, toPem('CERTIFICATE', der))] };
    }
    case 'revoke':
      await root.revoke(step.serial, step.reason as CrlReason);
      return {};
    case 'crl':
      return { outputs: [await output(tools, step.out, toPem('X509 CRL', await root.crl(step.days)))] };
  }
}

async function makeRoot(
  step: Extract<CeremonyStep, { do: 'init' }>,
  { directory, passphrase, clock }: CeremonyTools,
  root: OfflineRoot | undefined,
): Promise<Done> {
  if (root !== undefined) throw new AuthorityError('invalid', 'one ceremony makes one root, in its first step');
  const { name, organization, keyType, years } = step;
  const subject = [
    ...(organization === undefined ? [] : [[{ type: OID.organizationName, value: organization }]]),
    [{ type: OID.commonName, value: name }],
  ];
  const made = await OfflineRoot.init(directory, { subject, keyType, years }, passphrase, clock);
  const pem = await readFile(path.join(directory, 'root.pem'));
  return {
    made,
    outputs: [{ file: 'root.pem', sha256: sha256(pem) }],
    detail: { id: made.id, certificate: made.certificate.sha256.toString('hex') },
  };
}

/** PKCS#10 as PEM or DER. */
export function requestOf(bytes: Buffer): Buffer {
  if (bytes[0] === 0x30) return bytes;
  const [der] = fromPem(bytes.toString('utf8'));
  return der!;
}

async function output({ files }: CeremonyTools, file: string, pem: string): Promise<FileHash> {
  await replaceFile(path.join(files, file), pem, 0o644);
  return { file, sha256: sha256(pem) };
}
