import { Argument, InvalidArgumentError, Option, type Command } from 'commander';
import type { Config } from '#kernel';
import { VERSIONED, type VersionedSecret } from '../key-versions.js';
import type { Logger } from '../log.js';
import { printJson, printLines, record, table } from '../output.js';
import { listVersions } from '../rotate-secret.js';
import { Rotation } from '../rotation.js';
import { withExample } from './api-command.js';
import { quietLogger, readConfig } from './local-command.js';

const STEPS = ['stage', 'use', 'rewrap', 'retire'] as const;
type Step = (typeof STEPS)[number];

interface RotateOptions {
  step?: Step;
  wait: number;
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
    .option(
      '--wait <seconds>',
      'how long running processes are given to say that they have the version',
      parseSeconds,
      60,
    )
    .option(
      '--force',
      'use although a running process has not the version; retire although something made under the old one may be about',
    )
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nSteps: stage (hand out a version that nobody seals under), use, rewrap (what is stored), retire (remove the old\n' +
        'versions, once nothing is sealed under them). Without --step the first three are done one after the other, each once\n' +
        'every running process says that it has what the one before handed out.',
    )
    .action(async (secret: VersionedSecret, options: RotateOptions) => {
      const config = readConfig();
      const done = await rotate(config, secret, options, quietLogger(config));
      if (options.json === true) return printJson(done);
      printLines(record(done));
    });
}

async function rotate(config: Config, secret: VersionedSecret, options: RotateOptions, log: Logger) {
  const { whileRotating } = await import('../rewrap-secret.js');
  const say = (text: string) => options.json === true || process.stderr.write(`${secret}: ${text}\n`);
  return whileRotating(config, secret, log, async (database) => {
    const rotation = new Rotation(config, secret, database, { ...options, say });
    return options.step === undefined ? rotation.whole() : rotation[options.step]();
  });
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
