import { Option, type Command } from 'commander';
import {
  apiCommand,
  body,
  connect,
  listCommand,
  pageQuery,
  printList,
  printRecord,
  segment,
  type ApiOptions,
  type ListOptions,
} from './api-command.js';

const EXAMPLE_ID = '0197b2c6-...';
const CHALLENGE_NOTE =
  'Put the TXT record of the challenge into DNS, leave it there, and run: npx touchmark domain verify <id>';
const REASONS = 'affiliationChanged, cessationOfOperation, superseded, unspecified, privilegeWithdrawn';

/** Names that certificates carry: domains that organizations hold, and users in them. */
export function addNameCommands(program: Command): void {
  addDomainCommands(program);
  addUserCommands(program);
}

function addDomainCommands(program: Command): void {
  const domain = program.command('domain').description('Domains, under which certificates name servers and users');
  apiCommand(
    domain,
    'claim <name>',
    'Claim a domain, and get the DNS record that proves it',
    'domain claim example.com',
  )
    .option('--organization <id>', "whose it is (default: the caller's own organization)")
    .addOption(new Option('--proof <kind>', 'a DNS record, or the word of two people').choices(['dns', 'grant']))
    .action(async (name: string, options: ApiOptions & { organization?: string; proof?: string }) => {
      const client = await connect(options);
      const members = { name, organizationId: options.organization, proof: options.proof };
      printRecord(await client.post('/v1/domains', body(members)), options, CHALLENGE_NOTE);
    });
  listCommand(domain, 'List domains', 'domain list').action(async (options: ListOptions) => {
    const client = await connect(options);
    printList(await client.get('/v1/domains', pageQuery(options)), DOMAINS, options);
  });
  addShow(domain, 'domains', 'Show a domain and its challenge');
  addStep(domain, 'domains', 'verify', 'Look for the proof in DNS now');
  addStep(domain, 'domains', 'disable', 'Disable a domain: every certificate with a name under it is revoked');
  addStep(domain, 'domains', 'enable', 'Enable a disabled domain, by its proof');
}

function addUserCommands(program: Command): void {
  const user = program.command('user').description('Users with an address in a domain; who signs in here is a person');
  apiCommand(user, 'create <address>', 'Register a user', 'user create alice@example.com')
    .option('--type <type...>', 'sip-user, im, pres, xmpp, email (default: all that the address has the form of)')
    .action(async (address: string, options: ApiOptions & { type?: string[] }) => {
      const client = await connect(options);
      printRecord(await client.post('/v1/users', body({ address, types: options.type })), options);
    });
  listCommand(user, 'List users', 'user list --domain 0197b2c6-...')
    .option('--domain <id>', 'of this domain')
    .option('--address <address>', 'with this address')
    .action(async (options: ListOptions & { domain?: string; address?: string }) => {
      const client = await connect(options);
      const query = pageQuery(options, { domainId: options.domain, address: options.address });
      printList(await client.get('/v1/users', query), USERS, options);
    });
  addShow(user, 'users', 'Show a user');
  addStep(user, 'users', 'disable', 'Disable a user: every certificate with the address is revoked');
  addStep(user, 'users', 'enable', 'Enable a disabled user');
}

function addShow(parent: Command, path: string, description: string): void {
  apiCommand(parent, 'show <id>', description, `${parent.name()} show ${EXAMPLE_ID}`).action(
    async (id: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.get(`/v1/${path}/${segment(id)}`), options);
    },
  );
}

function addStep(parent: Command, path: string, verb: 'verify' | 'disable' | 'enable', description: string): void {
  const command = apiCommand(parent, `${verb} <id>`, description, `${parent.name()} ${verb} ${EXAMPLE_ID}`);
  if (verb === 'disable') command.option('--reason <reason>', REASONS);
  command.action(async (id: string, options: ApiOptions & { reason?: string }) => {
    const client = await connect(options);
    printRecord(await client.post(`/v1/${path}/${segment(id)}/${verb}`, body({ reason: options.reason })), options);
  });
}

const DOMAINS = [
  { title: 'id', member: 'id' },
  { title: 'name', member: 'name' },
  { title: 'status', member: 'status' },
  { title: 'proof', member: 'proof' },
  { title: 'organization', member: 'organizationId' },
];
const USERS = [
  { title: 'id', member: 'id' },
  { title: 'address', member: 'address' },
  { title: 'status', member: 'status' },
  { title: 'domain', member: 'domainId' },
];
