import path from 'node:path';
import { readServerRoot, type AuthorityContext } from '#authority';
import type { Config } from '#kernel';
import { toPem } from '#pki';
import { replaceFile } from './home.js';

/**
 * `root-ca.pem` in the home: the one thing that clients must get by another way than this server. Written at the start and
 * whenever the certificate of a server changes, so that the command line gets in under a root that was brought in meanwhile.
 */
export async function writeRoot(
  config: Config,
  a: Pick<AuthorityContext, 'database' | 'macKey' | 'clock'>,
): Promise<string> {
  const file = path.join(config.home, 'root-ca.pem');
  const root = await readServerRoot(a, a.clock.now());
  await replaceFile(file, toPem('CERTIFICATE', root.certificate), 0o644);
  return file;
}
