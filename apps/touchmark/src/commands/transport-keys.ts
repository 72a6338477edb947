import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { AuthorityError } from '#kernel';
import { apiCommand, connect, printList, printRecord, segment, type ApiOptions } from './api-command.js';

/** Symmetric keys that devices hold already, to which the private keys made for them are encrypted (RFC 7030 section 4.4.1.1). */
export function addTransportKeyCommands(program: Command): void {
  const transport = program
    .command('transport-key')
    .description('Symmetric keys of devices, to which private keys made for them are encrypted');
  apiCommand(transport, 'list', 'List those of a device, never the keys', 'transport-key list --device 0197b2c6-...')
    .requiredOption('--device <id>', 'of this device')
    .action(async (options: ApiOptions & { device: string }) => {
      const client = await connect(options);
      printList(await client.get(`/v1/devices/${segment(options.device)}/transport-keys`), KEYS, options);
    });
  apiCommand(
    transport,
    'add <device> <identifier>',
    'Register one, in place of one of the same identifier (hexadecimal, as DecryptKeyIdentifier has it)',
    'transport-key add 0197b2c6-... 6b657937 --key-file device.key',
  )
    .requiredOption('--key-file <file>', 'the key: 16 or 32 bytes, or the same in hexadecimal or base64')
    .action(async (device: string, identifier: string, options: ApiOptions & { keyFile: string }) => {
      const key = readKey(await readFile(options.keyFile));
      const client = await connect(options);
      printRecord(await client.put(pathOf(device, identifier), { key: key.toString('base64') }), options);
    });
  apiCommand(
    transport,
    'remove <device> <identifier>',
    'Remove one for good',
    'transport-key remove 0197b2c6-... 6b657937',
  ).action(async (device: string, identifier: string, options: ApiOptions) => {
    const client = await connect(options);
    printRecord(
      await client.delete(pathOf(device, identifier)),
      options,
      'Removed: nothing is encrypted to it any more.',
    );
  });
}

const pathOf = (device: string, identifier: string): string =>
  `/v1/devices/${segment(device)}/transport-keys/${segment(identifier.toLowerCase())}`;

const isSize = (length: number): boolean => length === 16 || length === 32;

/** Never from the command line, where other processes and the history of the shell see it. */
function readKey(file: Buffer): Buffer {
  if (isSize(file.length) && !isText(file)) return file;
  const text = file.toString('latin1').trim();
  const hex = /^[0-9a-f]*$/i.test(text) ? Buffer.from(text, 'hex') : undefined;
  if (hex !== undefined && isSize(hex.length)) return hex;
  const key = Buffer.from(text, 'base64');
  if (isSize(key.length) && key.toString('base64') === text) return key;
  throw new AuthorityError('invalid', '--key-file: must hold 16 or 32 bytes, or these in hexadecimal or base64.');
}

const isText = (bytes: Buffer): boolean => bytes.every((one) => one >= 0x20 && one < 0x7f);

const KEYS = [
  { title: 'identifier', member: 'keyIdentifier' },
  { title: 'bits', member: 'bits' },
  { title: 'registered', member: 'createdAt' },
];
