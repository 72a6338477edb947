import type { Command } from 'commander';
import { PLANES, systemClock, type Config } from '#kernel';
import { prepareHome } from '../home.js';
import { printJson, printLines, record } from '../output.js';
import { claimHome } from '../ready.js';
import { openSecrets } from '../secrets.js';
import { withExample } from './api-command.js';
import { quietLogger, readConfig } from './local-command.js';

interface Options {
  json?: boolean;
}

/** What can be done before an instance serves: `init` and `migrate`. Both leave nothing running. */
export function addSetupCommands(program: Command): void {
  withExample(
    program
      .command('init')
      .description(
        'Make secrets, schema, certification authorities and operator token, without serving (serve does so too)',
      ),
    'init',
  )
    .option('--json', 'print the result as JSON')
    .action((options: Options) => onClaimedHome((config) => init(config, options)));
  withExample(
    program
      .command('migrate')
      .description('Make the database roles and bring the schema up to date (serve does so too)'),
    'migrate',
  )
    .option('--json', 'print the result as JSON')
    .action((options: Options) => onClaimedHome((config) => migrateSchema(config, options)));
}

async function onClaimedHome(work: (config: Config) => Promise<void>): Promise<void> {
  const config = readConfig();
  await prepareHome(config.home);
  const claim = await claimHome(config.home);
  try {
    await work(config);
  } finally {
    await claim.release();
  }
}

async function init(config: Config, { json }: Options): Promise<void> {
  openSecrets(config, PLANES, { create: true });
  const { startInstance } = await import('../instance.js');
  const instance = await startInstance({ config, log: quietLogger(config), planes: [] });
  await instance.stop();
  const { home, secretsDir } = config;
  const made = {
    home,
    secrets: secretsDir,
    rootCertificate: instance.rootCertificatePath,
    operatorToken: instance.operatorTokenPath,
  };
  if (json === true) return printJson(made);
  printLines([
    ...record(made),
    '',
    'Keep a copy of the secrets: without them the database opens nothing. Next: npm start',
  ]);
}

async function migrateSchema(config: Config, { json }: Options): Promise<void> {
  const secrets = openSecrets(config, ['migrate']);
  const [{ openDatabaseServer }, { migrate }] = await Promise.all([import('../database-server.js'), import('#store')]);
  const server = await openDatabaseServer(config, secrets, quietLogger(config));
  try {
    const { databasePasswords } = secrets.of('migrate');
    const applied = await migrate(server.connectionOf('migrate'), databasePasswords, systemClock.now());
    if (json === true) printJson({ applied });
    else
      printLines(
        applied.length === 0 ? ['The schema is up to date.'] : ['Applied:', ...applied.map((name) => `  ${name}`)],
      );
  } finally {
    await server.stop();
  }
}
