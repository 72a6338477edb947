import { InvalidArgumentError, type Command } from 'commander';
import {
  apiCommand,
  body,
  connect,
  listCommand,
  pageQuery,
  parseSeconds,
  printCertificate,
  printList,
  printRecord,
  segment,
  type ApiOptions,
  type ListOptions,
} from './api-command.js';
import { addCeremonyCommands } from './ceremony.js';
import { addHierarchyCommands } from './hierarchy.js';
import { addOfflineRootCommands } from './offline-root.js';

/** What is issued from, and by which rules. Every change is a proposal that a second person approves. */
export function addIssuerCommands(program: Command): void {
  const ca = program.command('ca').description('Certification authorities: the root and what issues under it');
  listCommand(ca, 'List issuers', 'ca list').action(async (options: ListOptions) => {
    const client = await connect(options);
    printList(await client.get('/v1/issuers', pageQuery(options)), ISSUERS, options);
  });
  apiCommand(ca, 'show <id>', 'Show an issuer', 'ca show 0197b2c0-... --pem > issuing-ca.pem')
    .option('--pem', 'print its certificate alone, as PEM')
    .action(async (id: string, options: ApiOptions & { pem?: boolean }) => {
      const client = await connect(options);
      printCertificate(await client.get(`/v1/issuers/${segment(id)}`), options);
    });
  addHierarchyCommands(ca);
  apiCommand(ca, 'activate <id>', 'Propose that this CA issues from now on', 'ca activate 0197b2c0-...').action(
    async (id: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.post(`/v1/issuers/${segment(id)}/activate`, {}), options);
    },
  );
  apiCommand(ca, 'renew-now <id>', 'Call for the renewal of what it issued', 'ca renew-now 0197b2c0-... --reason drill')
    .requiredOption('--reason <text>', 'why')
    .action(async (id: string, options: ApiOptions & { reason: string }) => {
      const client = await connect(options);
      printRecord(await client.post(`/v1/issuers/${segment(id)}/renew-now`, { reason: options.reason }), options);
    });
  apiCommand(ca, 'revoke <id>', 'Propose to revoke an issuing CA', 'ca revoke 0197b2c0-... --reason cACompromise')
    .requiredOption('--reason <reason>', 'by its RFC 5280 name')
    .action(async (id: string, options: ApiOptions & { reason: string }) => {
      const client = await connect(options);
      const proposed = await client.post(`/v1/issuers/${segment(id)}/revoke`, { reason: options.reason });
      printRecord(proposed, options);
    });
  addOfflineRootCommands(ca);
  addCeremonyCommands(ca, `touchmark ${program.version() ?? ''}`);
  addProfileCommands(program);
}

function addProfileCommands(program: Command): void {
  const profile = program.command('profile').description('Profiles: what certificates of a kind may be');
  listCommand(profile, 'List profiles', 'profile list').action(async (options: ListOptions) => {
    const client = await connect(options);
    const page = await client.get('/v1/profiles', pageQuery(options));
    printList(options.json === true ? page : withDuration(page), PROFILES, options);
  });
  apiCommand(
    profile,
    'set <name>',
    'Propose another validity, or other key types',
    'profile set device --validity 30d --key-types ec-p256,ec-p384',
  )
    .option('--validity <duration>', 'of certificates issued from then on: 30d', parseSeconds)
    .option('--key-types <types>', 'which keys are certified, with commas between', parseKeyTypes)
    .action(async (name: string, options: ApiOptions & { validity?: number; keyTypes?: string[] }) => {
      const { validity, keyTypes } = options;
      const client = await connect(options);
      const change = body({ validitySeconds: validity, keyTypes });
      printRecord(await client.patch(`/v1/profiles/${segment(name)}`, change), options);
    });
}

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

const ISSUERS = [
  { title: 'id', member: 'id' },
  { title: 'name', member: 'name' },
  { title: 'kind', member: 'kind' },
  { title: 'status', member: 'status' },
  { title: 'key', member: 'keyType' },
  { title: 'ends', member: 'notAfter' },
];
const PROFILES = [
  { title: 'name', member: 'name' },
  { title: 'version', member: 'version' },
  { title: 'validity', member: 'validity' },
  { title: 'keys', member: 'keyTypes' },
];
