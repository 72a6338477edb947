import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { AuthorityError, systemClock } from '#kernel';
import { printJson, printLines, record } from '../output.js';
import { withExample } from './api-command.js';

interface RunOptions {
  dir: string;
  script: string;
  passphraseFile?: string;
  yes?: boolean;
}

interface VerifyOptions {
  dir?: string;
  transcript?: string;
  signature?: string;
  root?: string;
  files?: string;
  json?: boolean;
}

/** Scripted work with an offline root, with a written and signed transcript. */
export function addCeremonyCommands(ca: Command, tool: string): void {
  const ceremony = ca
    .command('ceremony')
    .description('Work with an offline root by a script, with a signed transcript');
  withExample(
    ceremony.command('run').description('Do what a script says, each step confirmed and written down'),
    'ca ceremony run --dir /media/root --script ceremony.json',
  )
    .requiredOption('--dir <dir>', 'where the root is kept, or will be')
    .requiredOption('--script <file>', 'participants and steps, JSON; its files lie beside it')
    .option('--passphrase-file <file>', 'its first line opens the key (default: typed)')
    .option('--yes', 'confirm every step (written down as such)')
    .action((options: RunOptions) => runScript(options, tool));
  withExample(
    ceremony.command('verify').description('Check a transcript: signature, chain, and the files it names'),
    'ca ceremony verify --dir /media/root',
  )
    .option('--dir <dir>', 'where root, transcript and signature lie')
    .option('--transcript <file>', 'instead of transcript.jsonl there')
    .option('--signature <file>', 'instead of transcript.sig there')
    .option('--root <file>', 'instead of root.pem there')
    .option('--files <dir>', 'where the files of the script lie (default: here)')
    .option('--json', 'print the result as JSON')
    .action(verify);
}

async function runScript({ dir, script, passphraseFile, yes }: RunOptions, tool: string): Promise<void> {
  const { runCeremony } = await import('../offline/ceremony.js');
  const { readScript } = await import('../offline/ceremony-script.js');
  const { readPassphrase } = await import('../offline/passphrase.js');
  const parsed = readScript(await readFile(script, 'utf8'));
  const passphrase = await readPassphrase(passphraseFile, parsed.steps[0]?.do === 'init');
  await runCeremony(parsed, {
    ...{ directory: dir, files: path.dirname(script), passphrase, clock: systemClock, tool },
    confirm: yes === true ? confirmAll : askEach,
    tell: (line) => printLines([line]),
  });
  printLines(['', `Transcript and signature are in ${dir}. Check them: npx touchmark ca ceremony verify --dir ${dir}`]);
}

function confirmAll(step: string): Promise<string> {
  printLines([step]);
  return Promise.resolve('--yes');
}

async function askEach(step: string): Promise<string> {
  if (!process.stdin.isTTY) throw new AuthorityError('invalid', 'there is no terminal to confirm at: give --yes');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const name = await terminal.question(`${step}\n   Who confirms it? (name; empty ends the ceremony) `);
    if (name.trim() === '') throw new AuthorityError('invalid', 'the ceremony was ended');
    return name.trim().slice(0, 200);
  } finally {
    terminal.close();
  }
}

async function verify({ dir = '.', transcript, signature, root, files = '.', json }: VerifyOptions): Promise<void> {
  const { SIGNATURE, TRANSCRIPT } = await import('../offline/ceremony.js');
  const { verifyCeremony } = await import('../offline/verify-ceremony.js');
  const verified = await verifyCeremony({
    transcript: transcript ?? path.join(dir, TRANSCRIPT),
    signature: signature ?? path.join(dir, SIGNATURE),
    root: root ?? path.join(dir, 'root.pem'),
    files: [dir, files],
  });
  if (json === true) printJson(verified);
  else printLines(['The transcript is whole and signed by this root.', '', ...record(verified)]);
}
