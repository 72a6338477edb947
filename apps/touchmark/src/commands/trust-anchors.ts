import { readFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { AuthorityError } from '#kernel';
import { apiCommand, body, connect, parseSeconds, printRecord, segment, type ApiOptions } from './api-command.js';
import { addDocumentChanges, addDocumentReading, type DocumentKind } from './policy-document.js';

const SET_KIND: DocumentKind = {
  path: '/v1/trust-anchors',
  noun: 'set',
  plural: 'sets',
  example: { shown: 'acme', changed: 'acme' },
  columns: [
    { title: 'name', member: 'name' },
    { title: 'version', member: 'version' },
    { title: 'app', member: 'appId' },
    { title: 'register', member: 'register' },
    { title: 'identity', member: 'identity' },
    { title: 'revocation', member: 'revocation' },
  ],
};

interface CreateOptions extends ApiOptions {
  app: string;
  certificate: string[];
  intermediate?: string[];
  description?: string;
  register?: string;
  registersPerMinute?: string;
  identity?: string;
  revocation: string;
  crlMaxAge?: number;
}

/** Whom besides the authority a label trusts to tell devices. Changes are proposals that a second person approves. */
export function addTrustAnchorCommands(program: Command): void {
  const anchors = program.command('trust-anchor').description('Trust anchors of others: manufacturers of devices');
  addDocumentReading(anchors, SET_KIND);
  addCreate(anchors);
  addDocumentChanges(anchors, SET_KIND);
  apiCommand(
    anchors,
    'crl <name> <file>',
    'Bring the CRL of an authority of the set',
    'trust-anchor crl acme acme.crl',
  ).action(async (name: string, file: string, options: ApiOptions) => {
    const bytes = await read(file);
    const text = bytes.toString('latin1').includes('-----BEGIN') ? bytes.toString('utf8') : bytes.toString('base64');
    const client = await connect(options);
    printRecord(await client.post(`/v1/trust-anchors/${segment(name)}/crls`, { crl: text }), options);
  });
}

function addCreate(anchors: Command): void {
  apiCommand(
    anchors,
    'set <name>',
    'Propose a set of trust anchors, as a whole: what is not given has its default',
    'trust-anchor set acme --app 0197b2c5-... --certificate acme-root.pem --revocation none',
  )
    .requiredOption('--app <id>', 'the app whose devices these are')
    .requiredOption('--certificate <file...>', 'where a path ends: PEM, one certificate each')
    .addOption(
      new Option('--revocation <how>', 'whether CRLs are brought').choices(['none', 'crl']).makeOptionMandatory(),
    )
    .option('--intermediate <file...>', 'between: PEM, one certificate each')
    .option('--description <text>', 'for people')
    .addOption(new Option('--register <how>', 'how devices get known').choices(REGISTRATIONS))
    .option('--registers-per-minute <n>', 'that register themselves')
    .addOption(new Option('--identity <source>', 'where the certificate names its device').choices(IDENTITIES))
    .option('--crl-max-age <duration>', 'no CRL older than this counts: 7d', parseSeconds)
    .action(async (name: string, options: CreateOptions) => {
      const { app, certificate, intermediate = [], description, register, identity, revocation, crlMaxAge } = options;
      const perMinute = options.registersPerMinute;
      const texts = (files: string[]) => Promise.all(files.map(async (file) => (await read(file)).toString('utf8')));
      const document = {
        ...{ appId: app, description, register, identity, revocation, crlMaxAgeSeconds: crlMaxAge },
        certificates: await texts(certificate),
        intermediates: await texts(intermediate),
        registersPerMinute: perMinute === undefined ? undefined : Number(perMinute),
      };
      const client = await connect(options);
      printRecord(await client.put(`/v1/trust-anchors/${segment(name)}`, body(document)), options);
    });
}

const read = (file: string): Promise<Buffer> =>
  readFile(file).catch((cause: unknown) => {
    throw new AuthorityError('malformed', `${file} cannot be read`, { cause });
  });

const REGISTRATIONS = ['preregistered', 'automatic', 'approval'];
const IDENTITIES = ['serialNumber', 'hardwareModuleName', 'commonName', 'key'];
