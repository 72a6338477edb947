import { Command, CommanderError } from 'commander';
import { isAuthorityError } from '#kernel';
import { addApprovalCommands } from './commands/approvals.js';
import { addAuditCommands } from './commands/audit.js';
import { addBlockedKeyCommands } from './commands/blocked-keys.js';
import { addCertificateCommands } from './commands/certificates.js';
import { addDemoCommand } from './commands/demo.js';
import { addDeviceCommands } from './commands/devices.js';
import { addNameCommands } from './commands/domains.js';
import { addEstLabelCommands } from './commands/est-labels.js';
import { addFingerprintCommands } from './commands/fingerprints.js';
import { addIssuerCommands } from './commands/issuers.js';
import { addKeyCommands } from './commands/keys.js';
import { USAGE_STATUS } from './commands/local-command.js';
import { addNoticeCommands } from './commands/notices.js';
import { addOrganizationCommands } from './commands/organizations.js';
import { addPersonCommands } from './commands/people.js';
import { addProfileCommands } from './commands/profiles.js';
import { addRoleCommands } from './commands/roles.js';
import { addServeCommand } from './commands/serve.js';
import { addSecretCommands } from './commands/secrets.js';
import { addSetupCommands } from './commands/setup.js';
import { addStatusCommand } from './commands/status.js';
import { addTokenCommands } from './commands/tokens.js';
import { addTransportKeyCommands } from './commands/transport-keys.js';
import { addTrustAnchorCommands } from './commands/trust-anchors.js';

/** The command line with every command; parsing it runs the command. */
export function buildProgram(): Command {
  const program = new Command('touchmark')
    .description('Authority for app API keys and device certificates')
    .version('0.3.0')
    .addHelpText('after', '\nExit status: 0 done, 1 it failed, 2 wrong usage or setting.')
    .enablePositionalOptions()
    .exitOverride();
  // Commands inherit what is set on their parent when they are added, so exitOverride comes before them.
  addServeCommand(program);
  addDemoCommand(program);
  addSetupCommands(program);
  addSecretCommands(program);
  addStatusCommand(program);
  addOrganizationCommands(program);
  addDeviceCommands(program);
  addNameCommands(program);
  addKeyCommands(program);
  addIssuerCommands(program);
  addProfileCommands(program);
  addFingerprintCommands(program);
  addTransportKeyCommands(program);
  addEstLabelCommands(program);
  addTrustAnchorCommands(program);
  addCertificateCommands(program);
  addBlockedKeyCommands(program);
  addPersonCommands(program);
  addRoleCommands(program);
  addTokenCommands(program);
  addApprovalCommands(program);
  addAuditCommands(program);
  addNoticeCommands(program);
  return program;
}

/** Runs the command that `argv` (of the process) names. A failure becomes one line on standard error and a status. */
export async function runProgram(argv: readonly string[]): Promise<void> {
  try {
    await buildProgram().parseAsync(argv);
  } catch (error) {
    process.exitCode = report(error);
  }
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    // Commander has printed its own already.
    if (!error.code.startsWith('commander.')) process.stderr.write(`touchmark: ${error.message}\n`);
    return USAGE_STATUS;
  }
  process.stderr.write(`touchmark: ${lineOf(error)}\n`);
  return 1;
}

function lineOf(error: unknown): string {
  if (isAuthorityError(error)) return error.detail;
  if (!(error instanceof Error)) return String(error);
  const { code, path } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' && path !== undefined ? `there is no file ${path}` : error.message;
}
