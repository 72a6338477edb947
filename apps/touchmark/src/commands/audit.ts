import { createReadStream } from 'node:fs';
import { open, readFile, rename, rm } from 'node:fs/promises';
import type { Command } from 'commander';
import { AuthorityError } from '#kernel';
import { printJson, printLines } from '../output.js';
import {
  apiCommand,
  connect,
  listCommand,
  pageQuery,
  parseTime,
  printList,
  printRecord,
  withExample,
  type ApiOptions,
  type ListOptions,
} from './api-command.js';

/** Loaded when needed: the other commands answer sooner without it. */
const lib = () => import('#audit');

interface FilterOptions extends ListOptions {
  action?: string;
  subject?: string;
  actor?: string;
  outcome?: string;
  from?: string;
  to?: string;
}

/** The audit log: read, prove, export, and verify without the instance. */
export function addAuditCommands(program: Command): void {
  const audit = program.command('audit').description('The audit log: read it, prove it, verify it offline');
  listCommand(audit, 'List events', 'audit list --action key.revoked --limit 20')
    .option('--action <action>', 'of this kind')
    .option('--subject <subject>', 'about this, <kind>:<id>')
    .option('--actor <actor>', 'by this one')
    .option('--outcome <outcome>', 'success, refused or failed')
    .option('--from <time>', 'not before, RFC 3339', parseTime)
    .option('--to <time>', 'before, RFC 3339', parseTime)
    .action(async (options: FilterOptions) => {
      const { action, subject, actor, outcome, from, to } = options;
      const client = await connect(options);
      const query = pageQuery(options, { action, subject, actor, outcome, from, to });
      printList(await client.get('/v1/audit/events', query), EVENTS, options);
    });
  apiCommand(audit, 'checkpoint', 'Print the newest checkpoint, a signed note', 'audit checkpoint > checkpoint').action(
    async (options: ApiOptions) => {
      const note = await (await connect(options)).text('/v1/audit/checkpoint');
      if (options.json === true) printJson({ note, ...(await described(note)) });
      else process.stdout.write(note);
    },
  );
  apiCommand(audit, 'proof <event>', 'Prove that an event is in the log', 'audit proof 4711 --json').action(
    async (event: string, options: ApiOptions) => {
      printRecord(await (await connect(options)).get('/v1/audit/proof', { event }), options, undefined, ['checkpoint']);
    },
  );
  addExport(audit);
  addVerify(audit);
}

function addExport(audit: Command): void {
  apiCommand(
    audit,
    'export',
    'Write the log to a file, one entry per line: line n is leaf n',
    'audit export --out audit.jsonl --upto checkpoint',
  )
    .requiredOption('--out <file>', 'the file to write')
    .option('--upto <file>', 'exactly the leaves of this checkpoint (default: the newest)')
    .action(async (options: ApiOptions & { out: string; upto?: string }) => {
      const client = await connect(options);
      const note = options.upto === undefined ? undefined : await readGiven(options.upto, '--upto');
      const { size } = await described(note ?? (await client.text('/v1/audit/checkpoint')));
      await save(client.download('/v1/audit/export', { size: String(size) }), options.out, size);
      if (options.json === true) printJson({ file: options.out, size });
      else printLines([`${size} entries written to ${options.out}.`]);
    });
}

function addVerify(audit: Command): void {
  withExample(
    audit
      .command('verify <file>')
      .description('Verify an export offline: that it holds exactly the leaves of a checkpoint, in order'),
    "audit verify audit.jsonl --key 'touchmark/0197.../audit+c0ffee00+AT...' --checkpoint checkpoint",
  )
    .requiredOption('--key <vkey>', 'verifier key of the log, as it was noted when the log was new')
    .requiredOption('--checkpoint <file>', 'a checkpoint from a witness, never from where the export comes from')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', 'Exits with 0 when it holds, 1 when it does not.')
    .action(async (file: string, options: { key: string; checkpoint: string; json?: boolean }) => {
      const note = await readGiven(options.checkpoint, '--checkpoint');
      const { parseVerifierKey, verifyExport } = await lib();
      const key = parseVerifierKey(options.key);
      const { origin, size, root } = await verifyExport(readChunks(file), key, note);
      if (options.json === true) printJson({ verified: true, origin, size, root: root.toString('base64') });
      else printLines([`Verified: ${size} entries of ${origin}, as they were signed.`]);
    });
}

async function described(note: string): Promise<{ origin: string; size: number }> {
  const { parseCheckpoint, parseNote } = await lib();
  const { origin, size } = parseCheckpoint(parseNote(note).text);
  return { origin, size };
}

async function* readChunks(file: string): AsyncGenerator<Buffer> {
  try {
    yield* createReadStream(file, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>;
  } catch (cause) {
    throw unreadable(file, 'the export', cause);
  }
}

async function readGiven(file: string, option: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw unreadable(file, option, cause);
  }
}

function unreadable(file: string, option: string, cause: unknown): AuthorityError {
  const { code } = cause as NodeJS.ErrnoException;
  return new AuthorityError('invalid', `${option}: ${file} cannot be read (${code}).`, { cause });
}

/** Whole or not at all: an answer that broke off has fewer lines. */
async function save(chunks: AsyncIterable<Buffer>, file: string, size: number): Promise<void> {
  const partial = `${file}.part`;
  let lines = 0;
  try {
    const handle = await open(partial, 'w', 0o600).catch((cause: unknown) => {
      const { code } = cause as NodeJS.ErrnoException;
      throw new AuthorityError('invalid', `--out: ${file} cannot be written (${code}).`, { cause });
    });
    try {
      for await (const chunk of chunks) {
        await handle.writeFile(chunk);
        for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) lines += 1;
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (lines !== size) {
      throw new AuthorityError('internal', `${lines} entries came, the checkpoint has ${size}: nothing was written.`);
    }
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

const EVENTS = [
  { title: 'id', member: 'id' },
  { title: 'time', member: 'at' },
  { title: 'actor', member: 'actor' },
  { title: 'action', member: 'action' },
  { title: 'subject', member: 'subject' },
  { title: 'outcome', member: 'outcome' },
];
