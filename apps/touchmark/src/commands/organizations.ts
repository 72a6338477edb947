import { InvalidArgumentError, Option, type Command } from 'commander';
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
  addQuotaCommand(org);

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

/** `default`: the setting of the instance, `null` in the API. */
type Quota = number | 'default';

interface Quotas {
  requestsPerMinute: number | null;
  issuancePerMinute: number | null;
}

/** Shows both quotas, or changes what is given and leaves the other. */
function addQuotaCommand(org: Command): void {
  apiCommand(
    org,
    'quota <id>',
    'Show or change how much an organization may do in a minute',
    'org quota 0197b2c4-... --issuance 600',
  )
    .option('--requests <n>', 'management requests per minute, or "default"', parseQuota)
    .option('--issuance <n>', 'certificates and keys per minute, or "default"', parseQuota)
    .action(async (id: string, options: ApiOptions & { requests?: Quota; issuance?: Quota }) => {
      const { requests, issuance } = options;
      const client = await connect(options);
      const route = `/v1/organizations/${segment(id)}/quotas`;
      const now = (await client.get(route)) as Quotas;
      const wanted = {
        requestsPerMinute: requests === undefined ? now.requestsPerMinute : stored(requests),
        issuancePerMinute: issuance === undefined ? now.issuancePerMinute : stored(issuance),
      };
      const asked = requests !== undefined || issuance !== undefined;
      const quotas = asked ? await client.put(route, wanted) : now;
      printRecord(options.json === true ? quotas : readable(quotas as Quotas), options);
    });
}

const ORGANIZATIONS = [
  { title: 'id', member: 'id' },
  { title: 'kind', member: 'kind' },
  { title: 'name', member: 'name' },
  { title: 'country', member: 'country' },
];

const stored = (quota: Quota): number | null => (quota === 'default' ? null : quota);

function readable({ requestsPerMinute, issuancePerMinute }: Quotas): object {
  return { requestsPerMinute: requestsPerMinute ?? 'default', issuancePerMinute: issuancePerMinute ?? 'default' };
}

/** Not null for the default: commander takes a null for no value at all. */
function parseQuota(text: string): Quota {
  if (text === 'default') return text;
  if (!/^[1-9]\d{0,6}$/.test(text) || Number(text) > 1_000_000) {
    throw new InvalidArgumentError('Give a number from 1 to 1000000, or "default".');
  }
  return Number(text);
}
