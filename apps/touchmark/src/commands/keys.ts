import { InvalidArgumentError, Option, type Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import { AuthorityError } from '#kernel';
import { addTransition } from './devices.js';
import {
  apiCommand,
  body,
  connect,
  listCommand,
  pageQuery,
  parseSeconds,
  parseTime,
  printList,
  printRecord,
  segment,
  type ApiOptions,
  type ListOptions,
} from './api-command.js';

const KEY_NOTE = 'Keep the key now: it is shown only here, and nobody can show it again.';

type Audience = 'all' | { providers: string[] } | { countries: string[] };

interface CreateOptions extends ApiOptions {
  release: string;
  issuer?: string;
  audience: Audience;
  environment: string;
  enroll?: boolean;
  expires?: string;
}

export function addKeyCommands(program: Command): void {
  const key = program.command('key').description('API keys of app releases');
  addKeyCreate(key);
  listCommand(key, 'List keys, without their secrets', 'key list --status active')
    .option('--status <status>', 'pending, active, retiring, suspended, revoked or expired')
    .option('--release <id>', 'of this release')
    .action(async (options: ListOptions & { status?: string; release?: string }) => {
      const client = await connect(options);
      const query = pageQuery(options, { status: options.status, releaseId: options.release });
      printList(await client.get('/v1/keys', query), KEYS, options);
    });
  apiCommand(key, 'show <id>', 'Show a key, without its secret', 'key show 01tSaqXyBDHyM6').action(
    async (id: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.get(`/v1/keys/${segment(id)}`), options);
    },
  );
  apiCommand(
    key,
    'rotate <id>',
    'Issue its successor; the old key goes on for the overlap',
    'key rotate 01tSaqXyBDHyM6 --overlap 24h',
  )
    .requiredOption('--overlap <duration>', 'how long both are valid: seconds, or 15m, 24h, 7d', parseSeconds)
    .action(async (id: string, options: ApiOptions & { overlap: number }) => {
      const client = await connect(options);
      const successor = await client.post(`/v1/keys/${segment(id)}/rotate`, { overlapSeconds: options.overlap });
      printRecord(successor, options, KEY_NOTE);
    });
  addTransition(key, 'keys', 'suspend', 'Suspend a key');
  addTransition(key, 'keys', 'resume', 'Put a suspended key back to what it was');
  addTransition(key, 'keys', 'revoke', 'Revoke a key for good');
  addIntrospect(program);
}

function addKeyCreate(key: Command): void {
  apiCommand(key, 'create', 'Issue a key for a release', 'key create --release 0197b2c7-... --audience countries:US,CA')
    .requiredOption('--release <id>', 'the release it is for')
    .option('--issuer <id>', 'the testing organization (default: your own)')
    .option('--audience <audience>', 'all, providers:<id>,<id> or countries:US,CA', parseAudience, 'all')
    .addOption(new Option('--environment <name>', 'which kind of service').choices(['live', 'test']).default('live'))
    .option('--enroll', 'devices of the app enroll by it')
    .option('--expires <time>', 'its end, RFC 3339 (default: the longest allowed)', parseTime)
    .action(async (options: CreateOptions) => {
      const { release, issuer, audience, environment, enroll, expires } = options;
      const client = await connect(options);
      const members = { releaseId: release, issuerId: issuer, audience, environment, enroll, expiresAt: expires };
      printRecord(await client.post('/v1/keys', body(members)), options, KEY_NOTE);
    });
}

function addIntrospect(program: Command): void {
  apiCommand(program, 'introspect [key]', 'Ask whether a key is valid (RFC 7662)', 'introspect < key.txt')
    .option('--key-file <file>', 'read the key from a file')
    .addHelpText('after', 'Without key and --key-file it is read from standard input, where no process list shows it.')
    .action(async (given: string | undefined, options: ApiOptions & { keyFile?: string }) => {
      const token = (given ?? (await readKey(options.keyFile))).trim();
      if (token === '') throw new AuthorityError('invalid', 'There is no key to ask about: standard input is empty.');
      const client = await connect(options);
      printRecord(await client.postForm('/v1/introspect', { token }), options);
    });
}

async function readKey(file: string | undefined): Promise<string> {
  if (file === undefined) return readStream(process.stdin);
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new AuthorityError('invalid', `--key-file: ${file} cannot be read.`, { cause });
  });
}

export function parseAudience(text: string): Audience {
  if (text === 'all') return 'all';
  const [kind, list = ''] = text.split(':', 2);
  const values = list.split(',').filter((value) => value !== '');
  if (values.length > 0 && kind === 'providers') return { providers: values };
  if (values.length > 0 && kind === 'countries') return { countries: values };
  throw new InvalidArgumentError('Give all, providers:<id>,<id> or countries:US,CA.');
}

const KEYS = [
  { title: 'id', member: 'id' },
  { title: 'status', member: 'status' },
  { title: 'environment', member: 'environment' },
  { title: 'release', member: 'releaseId' },
  { title: 'expires', member: 'expiresAt' },
];
