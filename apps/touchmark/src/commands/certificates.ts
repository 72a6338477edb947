import type { Command } from 'commander';
import {
  apiCommand,
  body,
  connect,
  listCommand,
  pageQuery,
  parseTime,
  printCertificate,
  printList,
  printRecord,
  segment,
  type ApiOptions,
  type ListOptions,
} from './api-command.js';

interface FilterOptions extends ListOptions {
  status?: string;
  device?: string;
  ra?: string;
  profile?: string;
  expiresBefore?: string;
  search?: string;
}

/** Certificates. */
export function addCertificateCommands(program: Command): void {
  const cert = program.command('cert').description('Certificates');
  listCommand(cert, 'List certificates', 'cert list --status active --expires-before 2027-01-31T00:00:00Z')
    .option('--status <status>', 'issuing, active, onHold, revoked or expired')
    .option('--device <id>', 'of this device')
    .option('--ra <id>', 'obtained for others by this registration authority: its device')
    .option('--profile <name>', 'of this profile')
    .option('--expires-before <time>', 'RFC 3339', parseTime)
    .option('--search <text>', 'part of a name, serial or fingerprint')
    .action(async (options: FilterOptions) => {
      const { status, device, ra, profile, expiresBefore, search } = options;
      const client = await connect(options);
      const query = pageQuery(options, { status, deviceId: device, ra, profile, expiresBefore, q: search });
      printList(await client.get('/v1/certificates', query), CERTIFICATES, options);
    });
  apiCommand(cert, 'show <serial>', 'Show a certificate', 'cert show 01a4... --pem > device.pem')
    .option('--pem', 'print the certificate alone, as PEM')
    .action(async (serial: string, options: ApiOptions & { pem?: boolean }) => {
      const client = await connect(options);
      printCertificate(await client.get(`/v1/certificates/${segment(serial)}`), options);
    });
  apiCommand(cert, 'revoke <serial>', 'Revoke a certificate', 'cert revoke 01a4... --reason keyCompromise')
    .requiredOption('--reason <reason>', 'by its RFC 5280 name; certificateHold can be released again')
    .option('--invalidity-date <time>', 'since when it is not to be trusted, RFC 3339', parseTime)
    .action(async (serial: string, options: ApiOptions & { reason: string; invalidityDate?: string }) => {
      const { reason, invalidityDate } = options;
      const client = await connect(options);
      const path = `/v1/certificates/${segment(serial)}/revoke`;
      printRecord(await client.post(path, body({ reason, invalidityDate })), options);
    });
  apiCommand(cert, 'renewal <serial>', 'Show when a certificate is to be renewed', 'cert renewal 01a4...').action(
    async (serial: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.get(`/v1/certificates/${segment(serial)}/renewal`), options);
    },
  );
  apiCommand(cert, 'release <serial>', 'Lift the hold of a certificate', 'cert release 01a4...').action(
    async (serial: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.post(`/v1/certificates/${segment(serial)}/release`, {}), options);
    },
  );
}

const CERTIFICATES = [
  { title: 'serial', member: 'serial' },
  { title: 'status', member: 'status' },
  { title: 'profile', member: 'profile' },
  { title: 'device', member: 'deviceId' },
  { title: 'ends', member: 'notAfter' },
];
