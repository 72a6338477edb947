import { Option, type Command } from 'commander';
import { isAuthorityError } from '#kernel';
import type { ApiClient } from '../client.js';
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
import { commaList, readDocument } from './document-file.js';
import { printJson } from '../output.js';

interface SetOptions extends ApiOptions {
  profile?: string;
  description?: string;
  authentication?: string[];
  anchors?: string[];
  operations?: string[];
  approval?: boolean;
  channelBinding?: string;
}

/** What EST offers under a path. Every change is a proposal that a second person approves. */
export function addEstLabelCommands(program: Command): void {
  const label = program.command('est-label').description('EST labels: what is offered under which path');
  listCommand(label, 'List labels', 'est-label list').action(async (options: ListOptions) => {
    const client = await connect(options);
    printList(await client.get('/v1/est-labels', pageQuery(options)), LABELS, options);
  });
  apiCommand(label, 'show <name>', 'Show a label', 'est-label show device').action(
    async (name: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.get(`/v1/est-labels/${segment(name)}`), options);
    },
  );
  addSet(label);
  apiCommand(
    label,
    'import <name> <file>',
    'Propose a label from a JSON file',
    'est-label import factory factory.json',
  ).action(async (name: string, file: string, options: ApiOptions) => {
    const client = await connect(options);
    printRecord(await client.put(`/v1/est-labels/${segment(name)}`, await readDocument(file)), options);
  });
  apiCommand(label, 'export <name>', 'Print a label as JSON', 'est-label export device > device.json').action(
    async (name: string, options: ApiOptions) => {
      const client = await connect(options);
      printJson(await client.get(`/v1/est-labels/${segment(name)}`));
    },
  );
  apiCommand(label, 'withdraw <name>', 'Propose that a label is withdrawn', 'est-label withdraw factory').action(
    async (name: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.delete(`/v1/est-labels/${segment(name)}`), options);
    },
  );
}

/** What is not given stays as it is, or as a shipped label has it. */
function addSet(label: Command): void {
  apiCommand(
    label,
    'set <name>',
    'Propose a label, or what of it changes',
    'est-label set factory --profile device --authentication manufacturer,certificate --anchors acme',
  )
    .option('--profile <name>', 'what is issued by it')
    .option('--description <text>', 'for people')
    .option(
      '--authentication <ways>',
      'secret,certificate,manufacturer,fingerprint,ra,account,apiKey; profile and this are needed for a new one',
      commaList,
    )
    .option('--anchors <sets>', 'sets of trust anchors, with commas between', commaList)
    .option(
      '--operations <names>',
      'csrattrs,serverkeygen,fullcmc, or an empty text (other members: export, change, import)',
      commaList,
    )
    .option('--approval', 'somebody approves each first certificate')
    .option('--no-approval', 'nobody does')
    .addOption(new Option('--channel-binding <mode>', 'proof of possession').choices(['off', 'optional', 'required']))
    .action(async (name: string, options: SetOptions) => {
      const client = await connect(options);
      const path = `/v1/est-labels/${segment(name)}`;
      const { name: _name, version: _version, ...now } = await labelOrNothing(client, path);
      const { profile, description, authentication, anchors, operations, approval, channelBinding } = options;
      const changed = body({ profile, description, authentication, anchors, operations, approval, channelBinding });
      printRecord(await client.put(path, { ...now, ...changed }), options);
    });
}

async function labelOrNothing(client: ApiClient, path: string): Promise<Record<string, unknown>> {
  try {
    return (await client.get(path)) as Record<string, unknown>;
  } catch (error) {
    if (isAuthorityError(error, 'notFound')) return {};
    throw error;
  }
}

const LABELS = [
  { title: 'name', member: 'name' },
  { title: 'version', member: 'version' },
  { title: 'profile', member: 'profile' },
  { title: 'authentication', member: 'authentication' },
  { title: 'approval', member: 'approval' },
];
