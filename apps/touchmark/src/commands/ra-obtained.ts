import type { Command } from 'commander';
import { apiCommand, connect, parseTime, printRecord, segment, type ApiOptions } from './api-command.js';

/** What a device that is a registration authority obtained for others. */
export function addObtainedCommands(device: Command): void {
  apiCommand(
    device,
    'obtained <id>',
    'Count what a registration authority obtained for others, and what of it is revoked',
    'device obtained 0197b2c6-... --since 2027-01-31T00:00:00Z',
  )
    .option('--since <time>', 'not before, RFC 3339 (default: everything)', parseTime)
    .action(async (id: string, options: ApiOptions & { since?: string }) => {
      const client = await connect(options);
      printRecord(await client.get(`/v1/devices/${segment(id)}/obtained`, { since: options.since }), options);
    });
  apiCommand(
    device,
    'revoke-obtained <id>',
    'Propose to revoke everything that a registration authority obtained for others since a time',
    'device revoke-obtained 0197b2c6-... --since 2027-01-31T00:00:00Z',
  )
    .requiredOption('--since <time>', 'RFC 3339', parseTime)
    .option('--reason <reason>', 'by its RFC 5280 name; keyCompromise also blocks the keys', 'privilegeWithdrawn')
    .action(async (id: string, options: ApiOptions & { since: string; reason: string }) => {
      const { since, reason } = options;
      const client = await connect(options);
      printRecord(await client.post(`/v1/devices/${segment(id)}/revoke-obtained`, { since, reason }), options);
    });
}
