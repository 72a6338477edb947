import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { AuthorityError } from '#kernel';
import { keyFingerprint } from '#pki';
import {
  apiCommand,
  connect,
  listCommand,
  pageQuery,
  printList,
  printRecord,
  segment,
  type ApiOptions,
  type ListOptions,
} from './api-command.js';
import { printJson } from '../output.js';

/** What one request takes. */
const BATCH = 500;

/** Keys that nothing is certified for. */
export function addBlockedKeyCommands(program: Command): void {
  const blocked = program.command('blocked-key').description('Keys that nothing is certified for');
  apiCommand(
    blocked,
    'import <file>',
    'Block the keys in a file: a SHA-256 of a SubjectPublicKeyInfo on each line, or PEM of public keys, certificates, requests',
    "blocked-key import leaked.txt --reason 'published on 2027-01-31'",
  )
    .requiredOption('--reason <text>', 'why nobody is to have these keys certified')
    .option('--revoke', 'also propose to revoke what carries them')
    .action(async (file: string, options: ApiOptions & { reason: string; revoke?: boolean }) => {
      const keys = readKeys(await readFile(file, 'utf8'));
      const client = await connect(options);
      const imports: unknown[] = [];
      for (let from = 0; from < keys.length; from += BATCH) {
        const batch = { keys: keys.slice(from, from + BATCH), reason: options.reason, revoke: options.revoke === true };
        const made = await client.post('/v1/blocked-keys', batch);
        imports.push(made);
        if (options.json !== true) printImport(made, options);
      }
      if (options.json === true) printJson(imports);
    });
  listCommand(blocked, 'List blocked keys', 'blocked-key list --source imported')
    .option('--source <source>', 'compromised, ca or imported')
    .option('--import <id>', 'of this import')
    .action(async (options: ListOptions & { source?: string; import?: string }) => {
      const client = await connect(options);
      const query = pageQuery(options, { source: options.source, importId: options.import });
      printList(await client.get('/v1/blocked-keys', query), KEYS, options);
    });
  apiCommand(
    blocked,
    'certificates',
    'List good certificates whose key is blocked, or found weak since',
    'blocked-key certificates',
  )
    .option('--limit <n>', 'how many at most')
    .option('--cursor <cursor>', 'go on where the last page ended')
    .action(async (options: ListOptions) => {
      const client = await connect(options);
      printList(await client.get('/v1/blocked-keys/certificates', pageQuery(options)), FINDINGS, options);
    });
  apiCommand(
    blocked,
    'revoke <import>',
    'Propose to revoke what carries a key of an import',
    'blocked-key revoke 0197b2c0-...',
  ).action(async (id: string, options: ApiOptions) => {
    const client = await connect(options);
    printRecord(await client.post(`/v1/blocked-keys/imports/${segment(id)}/revoke`, {}), options);
  });
}

/** The proposal last: it says what a second person has to do. */
function printImport(made: unknown, options: ApiOptions): void {
  const { proposed, ...counts } = made as { proposed?: unknown };
  printRecord(counts, options);
  if (proposed) printRecord(proposed, options);
}

/** Each key as its digest: nothing but that leaves this machine, and a file with a private key nothing at all. */
export function readKeys(text: string): string[] {
  const blocks = text.match(/-----BEGIN [^-]+-----[^-]*-----END [^-]+-----/g) ?? [];
  const lines = text
    .replace(/-----BEGIN [^-]+-----[^-]*-----END [^-]+-----/g, '')
    .split(/\r?\n/)
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '');
  const keys = [...lines, ...blocks].map((entry) => keyFingerprint(entry).toString('hex'));
  if (keys.length === 0) throw new AuthorityError('invalid', 'The file names no key.');
  return keys;
}

const KEYS = [
  { title: 'key', member: 'spkiSha256' },
  { title: 'source', member: 'source' },
  { title: 'reason', member: 'reason' },
  { title: 'by', member: 'actor' },
  { title: 'since', member: 'createdAt' },
];
const FINDINGS = [
  { title: 'serial', member: 'serial' },
  { title: 'problem', member: 'problem' },
  { title: 'what', member: 'detail' },
  { title: 'ends', member: 'notAfter' },
];
