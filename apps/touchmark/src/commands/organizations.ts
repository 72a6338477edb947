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

/** Who takes part, and what they make: organizations, apps and releases. */
export function addOrganizationCommands(program: Command): void {
  const org = program.command('org').description('Organizations: vendors, providers, testing organizations');
  apiCommand(org, 'create <name>', 'Create an organization', "org create 'Example Relay' --kind vendor --country US")
    .addOption(
      new Option('--kind <kind>', 'what it is').choices(['testing', 'provider', 'vendor']).makeOptionMandatory(),
    )
    .option('--country <code>', 'ISO 3166-1 code of two letters')
    .action(async (name: string, options: ApiOptions & { kind: string; country?: string }) => {
      const { kind, country } = options;
      const client = await connect(options);
      printRecord(await client.post('/v1/organizations', body({ name, kind, country })), options);
    });
  listCommand(org, 'List organizations', 'org list').action(async (options: ListOptions) => {
    const client = await connect(options);
    printList(await client.get('/v1/organizations', pageQuery(options)), ORGANIZATIONS, options);
  });

  const app = program.command('app').description('Apps of a vendor');
  apiCommand(app, 'create <name>', 'Create an app', 'app create Relay --vendor 0197b2c4-...')
    .requiredOption('--vendor <id>', 'the vendor it belongs to')
    .action(async (name: string, options: ApiOptions & { vendor: string }) => {
      const client = await connect(options);
      printRecord(await client.post('/v1/apps', { name, vendorId: options.vendor }), options);
    });

  const release = program.command('release').description('Releases of an app: what API keys are issued for');
  apiCommand(
    release,
    'create <app-id> <release-version>',
    'Create a release',
    'release create 0197b2c5-... 2.1.0 --platform ios',
  )
    .option('--platform <platform>', 'the platform it is for')
    .option('--digest <digest>', 'digest of what was tested')
    .action(async (appId: string, version: string, options: ApiOptions & { platform?: string; digest?: string }) => {
      const { platform, digest } = options;
      const client = await connect(options);
      printRecord(
        await client.post(`/v1/apps/${segment(appId)}/releases`, body({ version, platform, digest })),
        options,
      );
    });
}

const ORGANIZATIONS = [
  { title: 'id', member: 'id' },
  { title: 'kind', member: 'kind' },
  { title: 'name', member: 'name' },
  { title: 'country', member: 'country' },
];
