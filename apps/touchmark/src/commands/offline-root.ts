import { readFile } from 'node:fs/promises';
import { InvalidArgumentError, type Command } from 'commander';
import { systemClock } from '#kernel';
import type { CrlReason, KeyType } from '#pki';
import { replaceFile } from '../home.js';
import { printJson, printLines, record } from '../output.js';
import { withExample } from './api-command.js';
import { constraintsOf, withConstraints, type ConstraintOptions } from './constraint-options.js';

/** Loaded when needed: the other commands answer sooner without it. */
const lib = async () => ({
  ...(await import('../offline/offline-root.js')),
  ...(await import('../offline/passphrase.js')),
  ...(await import('../offline/ceremony.js')),
  ...(await import('#pki')),
});

interface RootOptions {
  dir: string;
  passphraseFile?: string;
  json?: boolean;
}

function rootCommand(parent: Command, name: string, description: string, example: string): Command {
  return withExample(parent.command(name).description(description), example)
    .requiredOption('--dir <dir>', 'where the root is kept')
    .option('--passphrase-file <file>', 'its first line opens the key (default: typed)')
    .option('--json', 'print the result as JSON');
}

const show = (result: object, { json }: RootOptions): void =>
  json === true ? printJson(result) : printLines(record(result));

/** A root on a machine without network, instance or database. */
export function addOfflineRootCommands(ca: Command): void {
  const root = ca.command('root').description('A root kept offline, in a directory: no instance and no database');
  rootCommand(
    root,
    'init',
    'Make a root: key under a passphrase, and certificate',
    'ca root init --offline --dir /media/root --name "Example Root CA"',
  )
    .option('--offline', 'said for clarity: there is no other way here')
    .requiredOption('--name <name>', 'common name of its subject')
    .option('--organization <name>', 'organization of its subject')
    .option('--key-type <type>', 'ec-p256, ec-p384, rsa-4096, ed25519, ml-dsa-65, ...', 'ec-p384')
    .option('--years <n>', 'how long it lives', parseCount, 20)
    .action(initRoot);
  withConstraints(
    rootCommand(
      root,
      'sign',
      'Certify the CA of a request',
      'ca root sign --dir /media/root --csr issuing.csr --out issuing.pem --status-url http://status.example.org',
    )
      .requiredOption('--csr <file>', 'PKCS#10, PEM or DER')
      .requiredOption('--out <file>', 'where the certificate is written, PEM')
      .requiredOption('--status-url <url>', 'base URL of the status plane that publishes the CRL of this root')
      .option('--path-len <n>', 'CAs that may stand under it; "none" for no limit', parsePathLen, 0)
      .option('--years <n>', 'how long it lives', parseCount, 10),
  ).action(signCsr);
  rootCommand(root, 'crl', 'Sign the next CRL', 'ca root crl --dir /media/root --out root.crl --days 365')
    .option('--out <file>', 'where it is written too, PEM')
    .option('--days <n>', 'how long it counts', parseCount, 365)
    .option('--revoke <serial:reason>', 'take a certificate back first', parseRevocation)
    .action(signCrl);
}

interface InitOptions extends RootOptions {
  name: string;
  organization?: string;
  keyType: string;
  years: number;
}

async function initRoot(options: InitOptions): Promise<void> {
  const { OfflineRoot, OID, readPassphrase } = await lib();
  const { dir, name, organization, keyType, years } = options;
  const subject = [
    ...(organization === undefined ? [] : [[{ type: OID.organizationName, value: organization }]]),
    [{ type: OID.commonName, value: name }],
  ];
  const passphrase = await readPassphrase(options.passphraseFile, true);
  const made = await OfflineRoot.init(dir, { subject, keyType: keyType as KeyType, years }, passphrase, systemClock);
  const { notAfter, sha256 } = made.certificate;
  show({ id: made.id, directory: dir, notAfter: notAfter.toISOString(), sha256: sha256.toString('hex') }, options);
}

interface SignOptions extends RootOptions, ConstraintOptions {
  csr: string;
  out: string;
  statusUrl: string;
  pathLen: number | 'none';
  years: number;
}

async function signCsr(options: SignOptions): Promise<void> {
  const { OfflineRoot, readPassphrase, requestOf, readCertificate, toPem } = await lib();
  const { dir, csr, out, statusUrl, pathLen, years } = options;
  const root = await OfflineRoot.open(dir, await readPassphrase(options.passphraseFile, false), systemClock);
  const der = await root.sign(requestOf(await readFile(csr)), {
    ...{ statusUrl: statusUrl.replace(/\/$/, ''), years, nameConstraints: constraintsOf(options) },
    pathLen: pathLen === 'none' ? undefined : pathLen,
  });
  await replaceFile(out, toPem('CERTIFICATE', der), 0o644);
  const { serial, notAfter, sha256 } = readCertificate(der);
  show({ out, serial, notAfter: notAfter.toISOString(), sha256: sha256.toString('hex') }, options);
}

interface CrlOptions extends RootOptions {
  out?: string;
  days: number;
  revoke?: { serial: string; reason: string };
}

async function signCrl(options: CrlOptions): Promise<void> {
  const { OfflineRoot, readPassphrase, readCrl, toPem } = await lib();
  const { dir, out, days, revoke } = options;
  const root = await OfflineRoot.open(dir, await readPassphrase(options.passphraseFile, false), systemClock);
  if (revoke !== undefined) await root.revoke(revoke.serial, revoke.reason as CrlReason);
  const der = await root.crl(days);
  if (out !== undefined) await replaceFile(out, toPem('X509 CRL', der), 0o644);
  const { number, entryCount, nextUpdate } = readCrl(der);
  show({ number: Number(number), entries: entryCount, nextUpdate: nextUpdate?.toISOString() }, options);
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('Give a whole number from 1 up.');
  return Number(text);
}

function parsePathLen(text: string): number | 'none' {
  if (text === 'none') return text;
  if (!/^\d$/.test(text)) throw new InvalidArgumentError('Give 0 to 9, or none.');
  return Number(text);
}

function parseRevocation(text: string): { serial: string; reason: string } {
  const [, serial, reason = 'unspecified'] = /^([0-9a-f]{2,40})(?::([a-zA-Z]+))?$/.exec(text) ?? [];
  if (serial === undefined) throw new InvalidArgumentError('Give the serial in lower-case hex, and :reason.');
  return { serial, reason };
}
