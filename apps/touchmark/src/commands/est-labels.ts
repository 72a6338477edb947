import { Option, type Command } from 'commander';
import { isAuthorityError } from '#kernel';
import type { ApiClient } from '../client.js';
import { apiCommand, body, connect, printRecord, segment, type ApiOptions } from './api-command.js';
import { addDocumentChanges, addDocumentReading, type DocumentKind } from './policy-document.js';
import { commaList } from './document-file.js';

const LABEL_KIND: DocumentKind = {
  path: '/v1/est-labels',
  noun: 'label',
  plural: 'labels',
  example: { shown: 'device', changed: 'factory' },
  columns: [
    { title: 'name', member: 'name' },
    { title: 'version', member: 'version' },
    { title: 'profile', member: 'profile' },
    { title: 'authentication', member: 'authentication' },
    { title: 'approval', member: 'approval' },
  ],
};

interface SetOptions extends ApiOptions {
  profile?: string;
  description?: string;
  authentication?: string[];
  anchors?: string[];
  operations?: string[];
  approval?: boolean;
  channelBinding?: string;
  digest?: boolean;
}

/** What EST offers under a path. Every change is a proposal that a second person approves. */
export function addEstLabelCommands(program: Command): void {
  const label = program.command('est-label').description('EST labels: what is offered under which path');
  addDocumentReading(label, LABEL_KIND);
  addSet(label);
  addDocumentChanges(label, LABEL_KIND);
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
    .option('--digest', 'the secret may come by HTTP Digest too, for secrets that are made from then on')
    .option('--no-digest', 'by HTTP Basic alone')
    .addOption(new Option('--channel-binding <mode>', 'proof of possession').choices(['off', 'optional', 'required']))
    .action(async (name: string, options: SetOptions) => {
      const client = await connect(options);
      const path = `/v1/est-labels/${segment(name)}`;
      const { name: _name, version: _version, ...now } = await labelOrNothing(client, path);
      const { profile, description, authentication, anchors, operations, approval, channelBinding, digest } = options;
      const asked = { profile, description, authentication, anchors, operations, approval, channelBinding, digest };
      const changed = body(asked);
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
