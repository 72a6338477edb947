import { Option, type Command } from 'commander';
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

const TOKEN_NOTE = 'Keep the token now, in a file with mode 0600: it is shown only here.';

interface CreateOptions extends ApiOptions {
  kind: string;
  role: string[];
  expires?: string;
  organization?: string;
}

/** Operator tokens, of programs and of one's own. */
export function addTokenCommands(program: Command): void {
  const token = program.command('token').description('Operator tokens: of programs, and your own');
  apiCommand(token, 'create <name>', 'Make a token; it is shown only here', 'token create CI --role officer')
    .requiredOption('--role <role...>', 'what it may be; not more than you are')
    .addOption(
      new Option('--kind <kind>', 'of a program, or your own').choices(['machine', 'personal']).default('machine'),
    )
    .option('--expires <time>', 'its end, RFC 3339 (default: the longest allowed)', parseTime)
    .option('--organization <id>', 'the organization it acts for (default: your own)')
    .action(async (name: string, options: CreateOptions) => {
      const { kind, role: roles, expires: expiresAt, organization: organizationId } = options;
      const client = await connect(options);
      const members = { name, kind, roles, expiresAt, organizationId };
      printRecord(await client.post('/v1/tokens', body(members)), options, TOKEN_NOTE);
    });
  listCommand(token, 'List tokens and when they were last used, without their secrets', 'token list --kind machine')
    .addOption(new Option('--kind <kind>', 'of this kind').choices(['bootstrap', 'machine', 'personal', 'session']))
    .action(async (options: ListOptions & { kind?: string }) => {
      const client = await connect(options);
      printList(await client.get('/v1/tokens', pageQuery(options, { kind: options.kind })), TOKENS, options);
    });
  apiCommand(
    token,
    'rotate <id>',
    'Issue its successor; the old token goes on for the overlap',
    'token rotate 01tSaqXyBDHyM6 --overlap 24h',
  )
    .requiredOption('--overlap <duration>', 'how long both are valid: seconds, or 15m, 24h, 7d', parseSeconds)
    .action(async (id: string, options: ApiOptions & { overlap: number }) => {
      const client = await connect(options);
      const successor = await client.post(`/v1/tokens/${segment(id)}/rotate`, { overlapSeconds: options.overlap });
      printRecord(successor, options, TOKEN_NOTE);
    });
  apiCommand(token, 'revoke <id>', 'Revoke a token for good', 'token revoke 01tSaqXyBDHyM6').action(
    async (id: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.post(`/v1/tokens/${segment(id)}/revoke`, {}), options);
    },
  );
}

const TOKENS = [
  { title: 'id', member: 'id' },
  { title: 'name', member: 'name' },
  { title: 'kind', member: 'kind' },
  { title: 'status', member: 'status' },
  { title: 'roles', member: 'roles' },
  { title: 'last used', member: 'lastUsedAt' },
  { title: 'expires', member: 'expiresAt' },
];
