import { readFile, writeFile } from 'node:fs/promises';
import { InvalidArgumentError, type Command } from 'commander';
import { AuthorityError, loadConfig } from '#kernel';
import { examineProfile, profileWarnings, type ProfileFault } from '#policy';
import { printJson, printLines } from '../output.js';
import {
  apiCommand,
  body,
  connect,
  listCommand,
  pageQuery,
  parseSeconds,
  printList,
  printRecord,
  segment,
  withExample,
  type ApiOptions,
  type ListOptions,
} from './api-command.js';

interface SetOptions extends ApiOptions {
  validity?: number;
  backdate?: number;
  keyTypes?: string[];
  revocation?: string;
  approval?: boolean;
}

/** What certificates of a kind may be. Every change is a proposal that a second person approves. */
export function addProfileCommands(program: Command): void {
  const profile = program.command('profile').description('Profiles: what certificates of a kind may be');
  listCommand(profile, 'List profiles', 'profile list').action(async (options: ListOptions) => {
    const client = await connect(options);
    const page = await client.get('/v1/profiles', pageQuery(options));
    printList(options.json === true ? page : withDuration(page), PROFILES, options);
  });
  apiCommand(profile, 'show <name>', 'Show a profile', 'profile show device --version 1')
    .option('--version <n>', 'an older one, by which certificates may have been issued')
    .action(async (name: string, options: ApiOptions & { version?: string }) => {
      const client = await connect(options);
      printRecord(await client.get(`/v1/profiles/${segment(name)}`, { version: options.version }), options);
    });
  addFileCommands(profile);
  addSet(profile);
  apiCommand(profile, 'withdraw <name>', 'Propose that nothing is issued by it', 'profile withdraw camera').action(
    async (name: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.delete(`/v1/profiles/${segment(name)}`), options);
    },
  );
}

function addFileCommands(profile: Command): void {
  apiCommand(profile, 'export <name>', 'Write a profile as JSON', 'profile export device --out device.json')
    .option('--out <file>', 'where to (default: standard output)')
    .action(async (name: string, options: ApiOptions & { out?: string }) => {
      const client = await connect(options);
      const document = await client.get(`/v1/profiles/${segment(name)}`);
      const text = `${JSON.stringify(document, undefined, 2)}\n`;
      if (options.out === undefined) process.stdout.write(text);
      else await writeFile(options.out, text);
    });
  apiCommand(
    profile,
    'import <file>',
    'Propose a profile as a file says it, new or changed',
    'profile import camera.json',
  ).action(async (file: string, options: ApiOptions) => {
    const document = await readDocument(file);
    const { profile: read, faults } = examineProfile(document, loadConfig().lifetimes);
    if (read === undefined) throw faulty(file, faults);
    for (const warning of profileWarnings(read)) process.stderr.write(`touchmark: ${warning}\n`);
    const client = await connect(options);
    printRecord(await client.put(`/v1/profiles/${segment(read.name)}`, document), options);
  });
  withExample(
    profile.command('check <file>').description('Say everything that is wrong with a profile in a file; asks nobody'),
    'profile check camera.json',
  )
    .option('--json', 'print the answer as JSON')
    .action(async (file: string, options: { json?: boolean }) => {
      const { profile: read, faults } = examineProfile(await readDocument(file), loadConfig().lifetimes);
      const warnings = read === undefined ? [] : profileWarnings(read);
      if (options.json === true) printJson({ ok: faults.length === 0, faults, warnings });
      else if (read !== undefined) printLines([`${file}: the profile ${read.name} has no fault.`, ...warnings]);
      if (read === undefined) throw faulty(file, faults);
    });
}

function addSet(profile: Command): void {
  apiCommand(
    profile,
    'set <name>',
    'Propose other members of a profile',
    'profile set device --validity 30d --key-types ec-p256,ec-p384',
  )
    .option('--validity <duration>', 'of certificates issued from then on: 30d', parseSeconds)
    .option('--backdate <duration>', 'how far they begin in the past, for slow clocks: 10m', parseSeconds)
    .option('--key-types <types>', 'which keys are certified, with commas between', parseKeyTypes)
    .option('--revocation <service>', 'crl+ocsp, crl or none')
    .option('--approval', 'somebody has to approve each first certificate')
    .option('--no-approval', 'nobody has to')
    .action(async (name: string, options: SetOptions) => {
      const { validity, backdate, keyTypes, revocation, approval } = options;
      const client = await connect(options);
      const change = { validitySeconds: validity, backdateSeconds: backdate, keyTypes, revocation, approval };
      printRecord(await client.patch(`/v1/profiles/${segment(name)}`, body(change)), options);
    });
}

async function readDocument(file: string): Promise<object> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new AuthorityError('notFound', `${file} cannot be read.`, { cause });
  });
  try {
    return JSON.parse(text) as object;
  } catch (cause) {
    // The place alone: what stands there may be a secret, where it is the wrong file.
    const place = /\(line \d+ column \d+\)/.exec(String(cause))?.[0];
    throw new AuthorityError('malformed', `${file} is not JSON${place === undefined ? '' : ` ${place}`}.`, { cause });
  }
}

const faulty = (file: string, faults: readonly ProfileFault[]): AuthorityError =>
  new AuthorityError(
    'invalid',
    [
      `${file} is not a profile:`,
      ...faults.map(({ member, text }) => `  ${member === '' ? '' : `${member}: `}${text}`),
    ].join('\n'),
  );

interface ProfilePage {
  items: { validitySeconds: number }[];
}

/** A validity as `--validity` takes it. */
function withDuration(page: unknown): object {
  const { items, ...rest } = page as ProfilePage;
  const duration = (seconds: number): string => (seconds % 86_400 === 0 ? `${seconds / 86_400}d` : `${seconds}s`);
  return { ...rest, items: items.map((item) => ({ ...item, validity: duration(item.validitySeconds) })) };
}

function parseKeyTypes(text: string): string[] {
  const types = text.split(',').map((one) => one.trim());
  if (types.includes('')) throw new InvalidArgumentError('Give key types like ec-p256,ec-p384.');
  return types;
}

const PROFILES = [
  { title: 'name', member: 'name' },
  { title: 'version', member: 'version' },
  { title: 'validity', member: 'validity' },
  { title: 'keys', member: 'keyTypes' },
];
