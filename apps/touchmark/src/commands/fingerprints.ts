import { Option, type Command } from 'commander';
import {
  apiCommand,
  connect,
  listCommand,
  pageQuery,
  printList,
  printRecord,
  segment,
  type ApiOptions,
  type ListOptions,
} from './api-command.js';

/** By which certificates or keys a device may enroll, also self-signed ones. */
export function addFingerprintCommands(program: Command): void {
  const fingerprint = program.command('fingerprint').description('Fingerprints of certificates that devices have');
  listFingerprints(fingerprint);
  apiCommand(
    fingerprint,
    'add <device> <sha256>',
    'Register the fingerprint of a certificate, or of a key',
    'fingerprint add 0197b2c6-... 4f8b42c2... --of key',
  )
    .addOption(new Option('--of <what>', 'what it is the SHA-256 of').choices(['certificate', 'key']))
    .action(async (device: string, sha256: string, options: ApiOptions & { of?: string }) => {
      const client = await connect(options);
      const given = { of: options.of ?? 'certificate', sha256 };
      printRecord(await client.post(`/v1/devices/${segment(device)}/fingerprints`, given), options);
    });
  apiCommand(
    fingerprint,
    'remove <device> <id>',
    'Remove a fingerprint: nobody enrolls by it any more',
    'fingerprint remove 0197b2c6-... 0197b2c7-...',
  ).action(async (device: string, id: string, options: ApiOptions) => {
    const client = await connect(options);
    printRecord(await client.delete(`/v1/devices/${segment(device)}/fingerprints/${segment(id)}`), options);
  });
}

function listFingerprints(fingerprint: Command): void {
  listCommand(fingerprint, 'List what a device may enroll by', 'fingerprint list --device 0197b2c6-...')
    .requiredOption('--device <id>', 'of this device')
    .action(async (options: ListOptions & { device: string }) => {
      const client = await connect(options);
      const path = `/v1/devices/${segment(options.device)}/fingerprints`;
      printList(await client.get(path, pageQuery(options)), IDENTITIES, options);
    });
}

const IDENTITIES = [
  { title: 'id', member: 'id' },
  { title: 'kind', member: 'kind' },
  { title: 'anchors', member: 'anchors' },
  { title: 'value', member: 'value' },
];
