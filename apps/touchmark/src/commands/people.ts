import type { Command } from 'commander';
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

const INVITATION_NOTE =
  'Give the code to this person, who signs in with it once, on the page /sign-in of the API, and adds a passkey there.\nThe page must be opened by the name of the host, not its address. Roles come afterwards: role grant.';

/** Who may sign in, and who asks. Roles are granted by two people: `role grant`. */
export function addPersonCommands(program: Command): void {
  const person = program.command('person').description('People: who signs in');
  apiCommand(
    person,
    'create <name>',
    'Create a person, without any role yet',
    "person create 'Ada' --email ada@example.org",
  )
    .option('--email <address>', 'where notices go')
    .option('--organization <id>', 'the organization it belongs to (default: your own)')
    .action(async (name: string, options: ApiOptions & { email?: string; organization?: string }) => {
      const { email, organization: organizationId } = options;
      const client = await connect(options);
      printRecord(await client.post('/v1/people', body({ name, email, organizationId })), options);
    });
  listCommand(person, 'List people with their roles', 'person list').action(async (options: ListOptions) => {
    const client = await connect(options);
    printList(await client.get('/v1/people', pageQuery(options)), PEOPLE, options);
  });
  apiCommand(person, 'get <id>', 'Show a person with roles', 'person get 0197b2c6-...').action(
    async (id: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.get(`/v1/people/${segment(id)}`), options);
    },
  );
  apiCommand(person, 'invite <id>', 'Make a one-time code for the first sign-in', 'person invite 0197b2c6-...').action(
    async (id: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.post(`/v1/people/${segment(id)}/invitations`, {}), options, INVITATION_NOTE);
    },
  );
  apiCommand(
    person,
    'remove <id>',
    'Remove a person for good; her sessions, tokens and passkeys end at once',
    'person remove 0197b2c6-...',
  ).action(async (id: string, options: ApiOptions) => {
    const client = await connect(options);
    printRecord(await client.delete(`/v1/people/${segment(id)}`), options);
  });
  apiCommand(program, 'whoami', 'Who the token stands for, and what it may do', 'whoami --token-file my.token').action(
    async (options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.get('/v1/session'), options);
    },
  );
}

const PEOPLE = [
  { title: 'id', member: 'id' },
  { title: 'name', member: 'name' },
  { title: 'status', member: 'status' },
  { title: 'roles', member: 'roles' },
  { title: 'organization', member: 'organizationId' },
];
