import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from 'pino';
import type { KeyRing } from '#credential';
import { systemClock, type Config } from '#kernel';
import { InProcessSigner, Token } from '#signing';
import type { Database } from '#store';
import { requirePrivate } from './secret-files.js';

/** The token of the settings, if they name one: one per process, so that a wrong PIN is tried once. */
export function openToken({ signer: { pkcs11 } }: Config, log: Logger): Token | undefined {
  if (pkcs11 === undefined) return undefined;
  const { module, token: label, pinFile } = pkcs11;
  const readPin = () => {
    requirePrivate(pinFile, 'signer');
    return readFileSync(pinFile, 'utf8').trim();
  };
  return new Token({ module, label, readPin }, systemClock, log.child({ token: label, module: path.basename(module) }));
}

/** A signer that holds the keys itself: what is sealed under `ca.kek`, and what lies in the token. */
export function localSigner(
  config: Config,
  database: Database,
  caKek: KeyRing,
  token: Token | undefined,
): InProcessSigner {
  return new InProcessSigner(database, caKek, systemClock, { token, location: config.signer.newKeys });
}

/** Whether somebody else opens the CA keys, in a process of its own. */
export const signsElsewhere = ({ signer }: Config): boolean => signer.mode !== 'in-process';
