import { InvalidArgumentError, type Command } from 'commander';
import type { Config } from '#kernel';
import { prepareHome } from '../home.js';
import type { Instance, Plane } from '../instance.js';
import { createLogger, type Logger } from '../log.js';
import { printLines } from '../output.js';
import { claimHome, removeReady, writeReady, type HomeClaim } from '../ready.js';
import { SINGLE_OPERATOR_WARNING } from '../single-operator.js';
import { listenForStop, type StopSignal } from '../stop-signal.js';
import { withExample } from './api-command.js';
import { readConfig } from './local-command.js';

const PLANE_NAMES: readonly Plane[] = ['est', 'api', 'status', 'worker', 'signer'];

export function addServeCommand(program: Command): void {
  withExample(
    program.command('serve').description('Run the planes in this process, until SIGTERM or Ctrl-C'),
    'serve --planes est,status',
  )
    .option('--planes <names>', 'which of est,api,status,worker,signer (default: all but signer)', parsePlanes)
    .addHelpText(
      'after',
      'Settings come from the environment (TOUCHMARK_HOME, DATABASE_URL, TOUCHMARK_EST_PORT, ...).\n' +
        'Exits with 0 when stopped by a signal, 1 when it cannot start or go on, 2 for a wrong setting or option.',
    )
    .action(async ({ planes }: { planes?: Plane[] }) => {
      const config = readConfig();
      process.exit(await serve(config, planes));
    });
}

/** Runs an instance to its end; the status to exit with. */
async function serve(config: Config, planes: Plane[] | undefined): Promise<number> {
  const log = createLogger({ level: config.logLevel, production: config.production });
  await prepareHome(config.home);
  const claim = await claimHome(config.home);
  const stop = listenForStop(log, () => claim.releaseNow());
  try {
    return await runClaimed(config, planes, log, stop);
  } catch (err) {
    log.debug({ err }, 'the instance failed');
    throw err;
  } finally {
    await release(claim, log);
  }
}

async function runClaimed(config: Config, planes: Plane[] | undefined, log: Logger, stop: StopSignal): Promise<number> {
  // Loaded here: the other commands need none of the planes, and answer sooner without them.
  const { startInstance } = await import('../instance.js');
  const instance = await startInstance({ config, log, ...(planes === undefined ? {} : { planes }) });
  if (!stop.isRequested()) {
    const { urls, rootCertificatePath: root, operatorTokenPath: operatorToken } = instance;
    const warnings = await settingWarnings(config);
    await writeReady(config.home, { pid: process.pid, ...urls, root, operatorToken, warnings });
    announce(instance, config, log);
  }
  await stop.requested;
  await removeReady(config.home);
  await instance.stop();
  log.info('stopped');
  return stop.status();
}

/** Said at start by the planes themselves; kept for `status`, which runs with an environment of its own. */
async function settingWarnings({ audit, home, singleOperator }: Config): Promise<string[]> {
  const { parseWitnesses, witnessWarning } = await import('#audit');
  const witnesses = witnessWarning(parseWitnesses(audit.witnesses, home));
  return [...(witnesses === undefined ? [] : [witnesses]), ...(singleOperator ? [SINGLE_OPERATOR_WARNING] : [])];
}

async function release(claim: HomeClaim, log: Logger): Promise<void> {
  await claim.release().catch((err: unknown) => log.warn({ err }, 'the claim on the home could not be removed'));
}

/** Readable in a terminal; otherwise one line of JSON that says the same. */
function announce({ urls, rootCertificatePath, operatorTokenPath }: Instance, config: Config, log: Logger): void {
  if (config.production || !process.stdout.isTTY) {
    log.info(
      { ...urls, rootCertificate: rootCertificatePath, operatorTokenFile: operatorTokenPath },
      'Touchmark is up',
    );
    return;
  }
  printLines([
    '',
    '  Touchmark is up.',
    '',
    `  EST               ${urls.est}/.well-known/est`,
    `  API               ${urls.api}/docs, people sign in at /sign-in`,
    `  Status            ${urls.status}/.well-known/touchmark`,
    `  Root certificate  ${rootCertificatePath}`,
    `  Operator token    ${operatorTokenPath}`,
    '',
    "  Next: npx touchmark org create 'My company' --kind vendor     (npx touchmark --help shows the rest)",
    '  Stop: Ctrl-C',
    '',
  ]);
}

export function parsePlanes(text: string): Plane[] {
  const names = text.split(',').map((name) => name.trim());
  const known = PLANE_NAMES.filter((plane) => names.includes(plane));
  const unknown = names.find((name) => !PLANE_NAMES.some((plane) => plane === name));
  if (unknown !== undefined) throw new InvalidArgumentError(`"${unknown}" is none of ${PLANE_NAMES.join(', ')}.`);
  return known;
}
