import { CommanderError } from 'commander';
import { isAuthorityError, loadConfig, type Config } from '#kernel';
import { createLogger, type Logger } from '../log.js';

export const USAGE_STATUS = 2;

/** The configuration; one that does not hold ends the command with status 2, as a wrong argument does. */
export function readConfig(): Config {
  try {
    return loadConfig();
  } catch (error) {
    if (isAuthorityError(error)) throw new CommanderError(USAGE_STATUS, 'touchmark.configuration', error.detail);
    throw error;
  }
}

/** For commands that end: what matters goes to standard error, standard output is their result. */
export function quietLogger({ logLevel, production }: Config): Logger {
  const level = logLevel === 'info' ? 'warn' : logLevel;
  return createLogger({ level, production, terminal: process.stderr.isTTY }, process.stderr);
}
