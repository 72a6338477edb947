import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { AuthorityError } from '#kernel';
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
import { addObtainedCommands } from './ra-obtained.js';

const ENROLLMENT_NOTE =
  'Give username and secret to the device now: the secret is shown only here, and serves one enrollment.';

interface CreateOptions extends ApiOptions {
  app: string;
  release?: string;
  group?: string;
  instanceId?: string;
  profile?: string;
  name?: string[];
  manufacturer?: string;
  certificateFingerprint?: string;
  keyFingerprint?: string;
}

interface ChangeOptions extends ApiOptions {
  release?: string;
  group?: string;
  profile?: string;
  name?: string[];
  reason?: string;
}

interface FilterOptions extends ListOptions {
  status?: string;
  app?: string;
  group?: string;
}

export function addDeviceCommands(program: Command): void {
  const device = program.command('device').description('Devices, which enroll for certificates over EST');
  addDeviceCreate(device);
  listCommand(device, 'List devices', 'device list --status enrolled')
    .option('--status <status>', 'registered, enrolled, suspended or revoked')
    .option('--app <id>', 'of this app')
    .option('--group <id>', 'of this group')
    .action(async (options: FilterOptions) => {
      const { status, app, group } = options;
      const client = await connect(options);
      const query = pageQuery(options, { status, appId: app, groupId: group });
      printList(await client.get('/v1/devices', query), DEVICES, options);
    });
  apiCommand(device, 'show <id>', 'Show a device', 'device show 0197b2c6-...').action(
    async (id: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.get(`/v1/devices/${segment(id)}`), options);
    },
  );
  addDryRun(device);
  addDeviceChange(device);
  addTransition(device, 'devices', 'revoke', 'Revoke a device and its certificates for good');
  addObtainedCommands(device);
  addTransition(device, 'devices', 'suspend', 'Suspend a device: its certificates go on hold');
  addTransition(device, 'devices', 'resume', 'End the suspension of a device');
  apiCommand(device, 'reset <id>', 'Grant one enrollment anew', 'device reset 0197b2c6-...').action(
    async (id: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.post(`/v1/devices/${segment(id)}/reset`, {}), options, ENROLLMENT_NOTE);
    },
  );
  apiCommand(
    device,
    'allow-late-renewal <id>',
    'Let a device renew once with a certificate that has ended',
    'device allow-late-renewal 0197b2c6-... --days 7',
  )
    .requiredOption('--days <number>', 'within which it has to be used, 30 at most', Number)
    .action(async (id: string, options: ApiOptions & { days: number }) => {
      const client = await connect(options);
      const path = `/v1/devices/${segment(id)}/allow-late-renewal`;
      printRecord(await client.post(path, { days: options.days }), options);
    });
  addGroupCommands(program);
}

function addDeviceCreate(device: Command): void {
  apiCommand(
    device,
    'create',
    'Register a device and get its one-time enrollment secret',
    'device create --app 0197b2c5-...',
  )
    .requiredOption('--app <id>', 'the app that runs on it')
    .option('--release <id>', 'the release of that app')
    .option('--group <id>', 'the group of devices it belongs to')
    .option('--instance-id <uuid>', 'its UUID, lower case (default: a new one)')
    .option('--profile <name>', 'certificate profile (default: device)')
    .option('--name <name...>', 'names for its certificate: sip:alice@example.com, dns:host.example.com, ...')
    .option('--manufacturer <set:id>', 'how its manufacturer certifies it: acme:SN-0815')
    .option('--certificate-fingerprint <hex>', 'SHA-256 of a certificate that it has')
    .option('--key-fingerprint <hex>', 'SHA-256 of the DER of a public key that it has')
    .action(async (options: CreateOptions) => {
      const { app, release, group, instanceId, profile, name } = options;
      const client = await connect(options);
      const { manufacturer, certificateFingerprint, keyFingerprint } = options;
      const members = {
        ...{ appId: app, releaseId: release, groupId: group, instanceId, profile, names: name },
        ...{ manufacturerId: splitIdentity(manufacturer), certificateFingerprint, keyFingerprint },
      };
      printRecord(await client.post('/v1/devices', body(members)), options, ENROLLMENT_NOTE);
    });
}

interface DryRunOptions extends ApiOptions {
  csr?: string;
  keyType?: string;
  label?: string;
}

function addDryRun(device: Command): void {
  apiCommand(
    device,
    'dry-run <id>',
    'Try out what a device would be issued, and why not; nothing is done',
    'device dry-run 0197b2c6-... --csr device.csr',
  )
    .option('--csr <file>', 'its certification request, PEM or DER')
    .option('--key-type <type>', 'instead of that: a request without wishes for a key like ec-p256')
    .option('--label <name>', 'EST label (default: the one of its profile)')
    .action(async (id: string, options: DryRunOptions) => {
      const { csr, keyType, label } = options;
      if ((csr === undefined) === (keyType === undefined)) {
        throw new AuthorityError('malformed', 'Give either --csr FILE or --key-type TYPE.');
      }
      const client = await connect(options);
      const request = body({ csr: csr === undefined ? undefined : await readRequest(csr), keyType, label });
      printRecord(await client.post(`/v1/devices/${segment(id)}/dry-run`, request), options);
    });
}

async function readRequest(file: string): Promise<string> {
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new AuthorityError('notFound', `${file} cannot be read.`, { cause });
  });
  const pem = bytes.toString('latin1');
  return pem.includes('-----BEGIN') ? pem : bytes.toString('base64');
}

function addDeviceChange(device: Command): void {
  apiCommand(
    device,
    'change <id>',
    'Move a device to another group or release; give it other names or another profile',
    'device change 0197b2c6-... --name sip:alice@example.com',
  )
    .option('--release <id>', 'the release of its app')
    .option('--group <id>', 'the group of devices it belongs to')
    .option('--profile <name>', 'certificate profile')
    .option('--name <name...>', 'names for its certificate, instead of those that it has')
    .option('--reason <reason>', 'why certificates with the old names end: affiliationChanged or superseded')
    .action(async (id: string, options: ChangeOptions) => {
      const { release, group, profile, name, reason } = options;
      const client = await connect(options);
      const members = { releaseId: release, groupId: group, profile, names: name, reason };
      printRecord(await client.patch(`/v1/devices/${segment(id)}`, body(members)), options);
    });
}

/** At the first colon: names of sets have none, identities may. */
function splitIdentity(text: string | undefined): { anchors: string; id: string } | undefined {
  if (text === undefined) return undefined;
  const [anchors = ''] = text.split(':', 1);
  return { anchors, id: text.slice(anchors.length + 1) };
}

function addGroupCommands(program: Command): void {
  const group = program.command('group').description('Groups of devices that are trusted alike');
  apiCommand(group, 'create <name>', 'Create a group', "group create 'Field test'")
    .option('--vendor <id>', 'the vendor it belongs to')
    .action(async (name: string, options: ApiOptions & { vendor?: string }) => {
      const client = await connect(options);
      printRecord(await client.post('/v1/device-groups', body({ name, vendorId: options.vendor })), options);
    });
  apiCommand(
    group,
    'renew-now <id>',
    'Call for the renewal of the certificates of a group',
    'group renew-now 0197b2c4-... --reason "firmware leak"',
  )
    .requiredOption('--reason <text>', 'why')
    .action(async (id: string, options: ApiOptions & { reason: string }) => {
      const client = await connect(options);
      printRecord(await client.post(`/v1/device-groups/${segment(id)}/renew-now`, { reason: options.reason }), options);
    });
  listCommand(group, 'List groups', 'group list').action(async (options: ListOptions) => {
    const client = await connect(options);
    printList(await client.get('/v1/device-groups', pageQuery(options)), GROUPS, options);
  });
  addTransition(group, 'device-groups', 'suspend', 'Suspend a group: its certificates go on hold');
  addTransition(group, 'device-groups', 'resume', 'End the suspension of a group');
  addTransition(
    group,
    'device-groups',
    'revoke',
    'Propose to revoke a group with its devices; a second person approves',
  );
}

/** `<parent> <verb> <id>`: one POST to the resource's path of that name; revoking takes a reason. */
export function addTransition(
  parent: Command,
  path: string,
  verb: 'revoke' | 'suspend' | 'resume',
  description: string,
): void {
  const reason = verb === 'revoke' ? ' --reason keyCompromise' : '';
  const command = apiCommand(parent, `${verb} <id>`, description, `${parent.name()} ${verb} 0197b2c6-...${reason}`);
  if (verb === 'revoke') {
    command.requiredOption('--reason <reason>', 'keyCompromise, superseded, cessationOfOperation, ...');
  }
  command.action(async (id: string, options: ApiOptions & { reason?: string }) => {
    const client = await connect(options);
    printRecord(await client.post(`/v1/${path}/${segment(id)}/${verb}`, body({ reason: options.reason })), options);
  });
}

const DEVICES = [
  { title: 'id', member: 'id' },
  { title: 'instance id', member: 'instanceId' },
  { title: 'status', member: 'status' },
  { title: 'profile', member: 'profile' },
  { title: 'app', member: 'appId' },
  { title: 'created', member: 'createdAt' },
];
const GROUPS = [
  { title: 'id', member: 'id' },
  { title: 'name', member: 'name' },
  { title: 'status', member: 'status' },
];
