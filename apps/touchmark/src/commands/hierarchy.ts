import { readFile } from 'node:fs/promises';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { printJson } from '../output.js';
import { replaceFile } from '../home.js';
import { apiCommand, body, connect, parseSeconds, printRecord, segment, type ApiOptions } from './api-command.js';
import { constraintsOf, splitList, withConstraints, type ConstraintOptions } from './constraint-options.js';

const NAME_PARTS = ['organization', 'organizationalUnit', 'country', 'state', 'locality'] as const;

interface CreateOptions extends ApiOptions, ConstraintOptions {
  kind?: string;
  parent?: string;
  external?: boolean;
  keyType?: string;
  location?: string;
  for?: string;
  profiles?: string[];
  pathLen?: number;
  validity?: number;
  subject?: Record<string, string>;
}

/** How CAs come to be: made here, followed by another key, certified elsewhere, certifying others. */
export function addHierarchyCommands(ca: Command): void {
  withConstraints(
    apiCommand(ca, 'create <name>', 'Propose a new CA', "ca create 'Touchmark Issuing CA 2'")
      .addOption(new Option('--kind <kind>', 'of what kind').choices(['root', 'intermediate', 'issuing']))
      .option('--parent <id>', 'who certifies it (default: the main root)')
      .option('--external', 'make the key only; its certificate is made elsewhere: ca csr, ca import')
      .option('--key-type <type>', 'ec-p256, ec-p384, rsa-4096, ed25519, ml-dsa-65, ...')
      .option('--location <place>', 'where its key is kept: sealed or pkcs11')
      .option('--for <organization>', 'only for devices of this testing organization')
      .option('--profiles <list>', 'only by these profiles, with commas between', splitList)
      .option('--path-len <n>', 'CAs that may stand under it', parsePathLen)
      .option('--validity <duration>', 'how long it lives: 3650d', parseSeconds)
      .option('--subject <parts>', 'organization=Example,country=DE: beside the common name', parseParts),
  ).action(async (name: string, options: CreateOptions) => {
    const { kind, parent, external, keyType, location, profiles, pathLen, validity, subject } = options;
    const wish = body({
      ...{ name, kind, parentId: parent, external, keyType, location, organizationId: options.for, profiles },
      ...{ pathLen, validitySeconds: validity, subject, nameConstraints: constraintsOf(options) },
    });
    printRecord(await (await connect(options)).post('/v1/issuers', wish), options);
  });
  apiCommand(ca, 'rollover <id>', 'Propose another key for a CA, beside the old one', 'ca rollover 0197b2c0-...')
    .option('--key-type <type>', 'of the new key (default: as the old one)')
    .option('--location <place>', 'where the new key is kept: sealed or pkcs11')
    .option('--validity <duration>', 'how long the new one lives', parseSeconds)
    .action(async (id: string, options: ApiOptions & { keyType?: string; location?: string; validity?: number }) => {
      const { keyType, location, validity } = options;
      const wish = body({ keyType, location, validitySeconds: validity });
      printRecord(await (await connect(options)).post(`/v1/issuers/${segment(id)}/rollover`, wish), options);
    });
  addCrossSign(ca);
  addImports(ca);
}

interface CrossSignOptions extends ApiOptions, ConstraintOptions {
  csr?: string;
  certificate?: string;
  pathLen?: number;
  validity?: number;
  unconstrained?: boolean;
}

function addCrossSign(ca: Command): void {
  withConstraints(
    apiCommand(
      ca,
      'cross-sign <id>',
      "Propose that this CA certifies another one: a customer's by its request, a foreign one by its certificate",
      'ca cross-sign 0197b2c0-... --csr customer.csr --permit-dns customer.example',
    )
      .option('--csr <file>', 'request of a customer, PEM')
      .option('--certificate <file>', 'certificate of a foreign CA, PEM')
      .option('--path-len <n>', 'CAs that may stand under it (default 0)', parsePathLen)
      .option('--validity <duration>', 'how long it counts', parseSeconds)
      .option('--unconstrained', 'without name constraints: has to be said'),
  ).action(async (id: string, options: CrossSignOptions) => {
    const { csr, certificate, pathLen, validity, unconstrained } = options;
    const wish = body({
      ...{
        csr: csr && (await readFile(csr, 'utf8')),
        certificate: certificate && (await readFile(certificate, 'utf8')),
      },
      ...{ pathLen, validitySeconds: validity, unconstrained, nameConstraints: constraintsOf(options) },
    });
    printRecord(await (await connect(options)).post(`/v1/issuers/${segment(id)}/cross-sign`, wish), options);
  });
}

interface ImportOptions extends ApiOptions {
  certificate: string;
  chain: string;
  crl: string;
}

function addImports(ca: Command): void {
  apiCommand(
    ca,
    'csr <id>',
    'The request of a CA that waits for its certificate',
    'ca csr 0197b2c0-... --out issuing.csr',
  )
    .option('--out <file>', 'where it is written, PEM (default: printed)')
    .action(async (id: string, options: ApiOptions & { out?: string }) => {
      const answer = await (await connect(options)).get(`/v1/issuers/${segment(id)}/csr`);
      const { pem } = answer as { pem: string };
      if (options.json === true) return printJson(answer);
      if (options.out === undefined) process.stdout.write(pem);
      else await replaceFile(options.out, pem, 0o644);
    });
  apiCommand(
    ca,
    'import <id>',
    'Propose the certificate that was made elsewhere, with its chain and the CRLs above it',
    'ca import 0197b2c0-... --certificate issuing.pem --chain root.pem --crl root.crl',
  )
    .requiredOption('--certificate <file>', 'PEM')
    .requiredOption('--chain <file>', 'from whoever signed it up to the root, PEM')
    .requiredOption('--crl <file>', 'of each CA of the chain, PEM')
    .action(async (id: string, options: ImportOptions) => {
      const [certificate, chain, crls] = await Promise.all(
        [options.certificate, options.chain, options.crl].map((file) => readFile(file, 'utf8')),
      );
      const proposed = await (
        await connect(options)
      ).post(`/v1/issuers/${segment(id)}/import`, { certificate, chain, crls });
      printRecord(proposed, options);
    });
  apiCommand(
    ca,
    'import-crl <id>',
    'Bring in the next CRL of a root that is kept elsewhere',
    'ca import-crl 0197b2c0-... --crl root.crl',
  )
    .requiredOption('--crl <file>', 'PEM')
    .action(async (id: string, options: ApiOptions & { crl: string }) => {
      const crl = await readFile(options.crl, 'utf8');
      printRecord(await (await connect(options)).post(`/v1/issuers/${segment(id)}/crl`, { crl }), options);
    });
}

function parsePathLen(text: string): number {
  if (!/^\d$/.test(text)) throw new InvalidArgumentError('Give 0 to 9.');
  return Number(text);
}

function parseParts(text: string): Record<string, string> {
  return Object.fromEntries(
    splitList(text).map((part) => {
      const [name = '', ...value] = part.split('=');
      if (!NAME_PARTS.some((one) => one === name) || value.length === 0) {
        throw new InvalidArgumentError(`Give name=value with ${NAME_PARTS.join(', ')}.`);
      }
      return [name, value.join('=')];
    }),
  );
}
