import { execFile } from 'node:child_process';
import { NotVerified } from './narrator.js';

const TIMEOUT_MS = 15_000;

export interface OpensslRun {
  status: number;
  stdout: Buffer;
  /** Standard output, then standard error. */
  said: string;
}

/** Runs `openssl` to its end, whatever its status. Rejects with ENOENT where there is none. */
export function runOpenssl(directory: string, args: readonly string[], input?: Buffer | string): Promise<OpensslRun> {
  const { promise, resolve, reject } = Promise.withResolvers<OpensslRun>();
  const options = { cwd: directory, encoding: 'buffer', timeout: TIMEOUT_MS, killSignal: 'SIGKILL' } as const;
  const child = execFile('openssl', args, options, (error, stdout, stderr) => {
    if (error !== null && typeof error.code !== 'number') return reject(error);
    const status = typeof error?.code === 'number' ? error.code : 0;
    resolve({ status, stdout, said: `${stdout.toString()}${stderr.toString()}` });
  });
  // It may end without having read its input.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input ?? '');
  return promise;
}

/** Its standard output; throws with what it said where it fails. */
export async function openssl(directory: string, args: readonly string[], input?: Buffer | string): Promise<Buffer> {
  const { status, stdout, said } = await runOpenssl(directory, args, input);
  if (status !== 0) throw new NotVerified(`openssl ${args[0] ?? ''} fails: ${said.trim()}`);
  return stdout;
}

/** Name and version; undefined where there is no openssl, or none that can do what is asked of it here (1.1.1). */
export async function opensslVersion(directory: string): Promise<string | undefined> {
  try {
    const [, version] =
      /^(OpenSSL (?:1\.1\.1|[3-9]|\d\d)\S*)/.exec((await openssl(directory, ['version'])).toString()) ?? [];
    return version;
  } catch {
    return undefined;
  }
}
