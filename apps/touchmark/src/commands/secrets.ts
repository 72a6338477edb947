import { setTimeout as delay } from 'node:timers/promises';
import { Argument, InvalidArgumentError, Option, type Command } from 'commander';
import { AuthorityError, type Config } from '#kernel';
import { VERSIONED, type VersionedSecret } from '../key-versions.js';
import type { Logger } from '../log.js';
import { printJson, printLines, record, table } from '../output.js';
import { listVersions, retireVersions, stageVersion, useVersion } from '../rotate-secret.js';
import { withExample } from './api-command.js';
import { quietLogger, readConfig } from './local-command.js';

const STEPS = ['stage', 'use', 'rewrap', 'retire'] as const;
type Step = (typeof STEPS)[number];

interface RotateOptions {
  step?: Step;
  settle: number;
  force?: boolean;
  json?: boolean;
}

export function addSecretCommands(program: Command): void {
  const secrets = program.command('secrets').description('Versions of the keys that seal what is stored');
  withExample(secrets.command('list').description('Which versions each key has, never what they are'), 'secrets list')
    .option('--json', 'print the list as JSON')
    .action(({ json }: { json?: boolean }) => {
      const config = readConfig();
      const items = VERSIONED.map((name) => listVersions(config, name));
      if (json === true) return printJson({ items });
      const columns = ['secret', 'inUse', 'next', 'old'].map((member) => ({ title: member, member }));
      printLines(table(items, columns));
    });
  withExample(
    secrets
      .command('rotate')
      .description('Give a key a new version and seal what is stored under it, while planes run'),
    'secrets rotate pepper',
  )
    .addArgument(new Argument('<secret>', 'which key').argParser(parseSecret))
    .addOption(
      new Option('--step <step>', 'one step alone, where the files of several machines are to be kept alike').choices(
        STEPS,
      ),
    )
    .option('--settle <seconds>', 'how long every plane is given to read a changed file', parseSeconds, 5)
    .option('--force', 'retire although answers or sign-ins made under the old version may be about')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nSteps: stage (hand out a version that nobody seals under), use, rewrap (what is stored), retire (remove the old\n' +
        'versions, once nothing is sealed under them). Without --step the first three are done one after the other.',
    )
    .action(async (secret: VersionedSecret, options: RotateOptions) => {
      const config = readConfig();
      const done = await rotate(config, secret, options, quietLogger(config));
      if (options.json === true) return printJson(done);
      printLines(record(done));
    });
}

async function rotate(config: Config, secret: VersionedSecret, options: RotateOptions, log: Logger) {
  const { step, settle } = options;
  const say = (text: string) => options.json === true || process.stderr.write(`${secret}: ${text}\n`);
  const does = (one: Step) => step === one || (step === undefined && one !== 'retire');
  if (does('stage')) {
    say(`version ${await stageVersion(config, secret)} is handed out`);
    if (step === undefined) await delay(settle * 1000);
  }
  if (does('use')) {
    say(`version ${await useVersion(config, secret)} is in use`);
    if (step === undefined) await delay(settle * 1000);
  }
  if (step === 'stage' || step === 'use') return listVersions(config, secret);
  return step === 'retire' ? retire(config, secret, options, log) : rewrap(config, secret, log, say);
}

async function rewrap(config: Config, secret: VersionedSecret, log: Logger, say: (text: string) => unknown) {
  const { rewrapStored } = await import('../rewrap-secret.js');
  const progress = ({ resealed }: { resealed: number }) => say(`${resealed} values sealed under it`);
  const done = await rewrapStored(config, secret, log, { step: 'rewrap', progress });
  return { ...listVersions(config, secret), ...done };
}

async function retire(config: Config, secret: VersionedSecret, { force = false }: RotateOptions, log: Logger) {
  const { rewrapStored } = await import('../rewrap-secret.js');
  const left = await rewrapStored(config, secret, log, { step: 'retire' });
  if (left.broken > 0 && !force) {
    throw new AuthorityError(
      'conflict',
      `${secret}: ${left.broken} stored values open under no version; find out why before you remove one (or --force)`,
    );
  }
  const retired = await retireVersions(config, secret, force);
  return { ...listVersions(config, secret), retired };
}

function parseSecret(text: string): VersionedSecret {
  // As the file is called, or as people say it: ca-kek.
  const name = VERSIONED.find((one) => one === text.replace('-', '.'));
  if (name === undefined) throw new InvalidArgumentError(`It is one of ${VERSIONED.join(', ')}.`);
  return name;
}

function parseSeconds(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('It is a whole number of seconds.');
  return Number(text);
}
