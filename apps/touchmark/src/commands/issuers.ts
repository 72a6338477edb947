import type { Command } from 'commander';
import {
  apiCommand,
  connect,
  listCommand,
  pageQuery,
  printCertificate,
  printList,
  printRecord,
  segment,
  type ApiOptions,
  type ListOptions,
} from './api-command.js';
import { printLines, table } from '../output.js';
import { addCeremonyCommands } from './ceremony.js';
import { addHierarchyCommands } from './hierarchy.js';
import { addOfflineRootCommands } from './offline-root.js';

/** What is issued from. Every change is a proposal that a second person approves. */
export function addIssuerCommands(program: Command): void {
  const ca = program.command('ca').description('Certification authorities: the root and what issues under it');
  listCommand(ca, 'List issuers', 'ca list').action(async (options: ListOptions) => {
    const client = await connect(options);
    const page = await client.get('/v1/issuers', pageQuery(options));
    printList(page, ISSUERS, options);
    const { coming = [] } = page as { coming?: unknown[] };
    if (options.json === true || coming.length === 0) return;
    printLines(['', 'Not there yet:', ...table(coming, COMING)]);
  });
  apiCommand(ca, 'show <id>', 'Show an issuer', 'ca show 0197b2c0-... --pem > issuing-ca.pem')
    .option('--pem', 'print its certificate alone, as PEM')
    .action(async (id: string, options: ApiOptions & { pem?: boolean }) => {
      const client = await connect(options);
      printCertificate(await client.get(`/v1/issuers/${segment(id)}`), options);
    });
  addHierarchyCommands(ca);
  apiCommand(ca, 'activate <id>', 'Propose that this CA issues from now on', 'ca activate 0197b2c0-...').action(
    async (id: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.post(`/v1/issuers/${segment(id)}/activate`, {}), options);
    },
  );
  apiCommand(ca, 'renew-now <id>', 'Call for the renewal of what it issued', 'ca renew-now 0197b2c0-... --reason drill')
    .requiredOption('--reason <text>', 'why')
    .action(async (id: string, options: ApiOptions & { reason: string }) => {
      const client = await connect(options);
      printRecord(await client.post(`/v1/issuers/${segment(id)}/renew-now`, { reason: options.reason }), options);
    });
  apiCommand(ca, 'revoke <id>', 'Propose to revoke an issuing CA', 'ca revoke 0197b2c0-... --reason cACompromise')
    .requiredOption('--reason <reason>', 'by its RFC 5280 name')
    .action(async (id: string, options: ApiOptions & { reason: string }) => {
      const client = await connect(options);
      const proposed = await client.post(`/v1/issuers/${segment(id)}/revoke`, { reason: options.reason });
      printRecord(proposed, options);
    });
  addOfflineRootCommands(ca);
  addCeremonyCommands(ca, `touchmark ${program.version() ?? ''}`);
}

const COMING = [
  { title: 'id', member: 'id' },
  { title: 'name', member: 'name' },
  { title: 'kind', member: 'kind' },
  { title: 'status', member: 'status' },
  { title: 'next', member: 'next' },
];

const ISSUERS = [
  { title: 'id', member: 'id' },
  { title: 'name', member: 'name' },
  { title: 'kind', member: 'kind' },
  { title: 'status', member: 'status' },
  { title: 'key', member: 'keyType' },
  { title: 'ends', member: 'notAfter' },
];
