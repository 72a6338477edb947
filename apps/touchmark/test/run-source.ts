import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Tests run in the project's root. */
const APP = path.resolve('apps/touchmark');

/** What was compiled once in this run need not be again: that is most of what a command takes. */
const ENV = {
  PATH: '/usr/bin:/bin',
  NODE_NO_WARNINGS: '1',
  NODE_COMPILE_CACHE: path.join(tmpdir(), 'compiled'),
};

export interface SourceProcess {
  /** Resolves once standard output holds the text; rejects when the process ends without it. */
  said(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  ended(): Promise<{ status: number | null; stdout: string; stderr: string }>;
}

/** Runs a program of `apps/touchmark` from its source in a process of its own. */
export function runSource(
  program: string,
  args: readonly string[],
  options: { env?: Readonly<Record<string, string>>; input?: string } = {},
): SourceProcess {
  const child = spawn(
    process.execPath,
    [
      '--conditions=source',
      '--experimental-transform-types',
      '--import',
      path.join(APP, 'test/source.mjs'),
      path.join(APP, program),
      ...args,
    ],
    { stdio: 'pipe', env: { ...ENV, ...options.env } },
  );
  const closed = once(child, 'close') as Promise<[number | null]>;
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.end(options.input ?? '');
  return {
    async said(text) {
      while (!stdout.includes(text)) {
        if (child.exitCode !== null) throw new Error(`ended without saying "${text}": ${stderr}`);
        await Promise.race([once(child.stdout, 'data'), closed]);
      }
    },
    kill: (signal) => void child.kill(signal),
    async ended() {
      const [status] = await closed;
      return { status, stdout, stderr };
    },
  };
}
