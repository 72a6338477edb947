import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { describe, test } from '@jest/globals';

/** System directories too: servers live there, and a user's PATH often lacks them. */
const SEARCHED = [...(process.env['PATH'] ?? '').split(path.delimiter), '/usr/sbin', '/usr/local/sbin', '/sbin'];

export function findProgram(name: string): string | undefined {
  return SEARCHED.filter((directory) => directory !== '')
    .map((directory) => path.join(directory, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** A suite that needs programs of others. Where one is missing it is skipped by name, or fails when CI=true. */
export function describeWith(programs: readonly string[], title: string, suite: () => void): void {
  const missing = programs.filter((name) => findProgram(name) === undefined);
  if (missing.length === 0) return describe(title, suite);
  const reason = `${title}: needs ${missing.join(', ')}`;
  if (process.env['CI'] === 'true') {
    return describe(title, () => {
      test(`needs ${missing.join(', ')}`, () => {
        throw new Error(`${reason}, which CI has to install`);
      });
    });
  }
  process.stderr.write(`skipped, ${reason}\n`);
  describe.skip(reason, suite);
}

export interface Ended {
  /** null: killed. */
  status: number | null;
  stdout: Buffer;
  stderr: string;
  /** Both streams, standard output first. */
  all: string;
}

export interface RunOptions {
  cwd?: string;
  input?: Buffer | string;
  env?: Readonly<Record<string, string>>;
  timeoutMs?: number;
}

/** Runs a program to its end, whatever its status; standard input ends after `input`. */
export function run(name: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  const child = spawn(findProgram(name) ?? name, args, {
    stdio: 'pipe',
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    timeout: options.timeoutMs ?? 30_000,
    killSignal: 'SIGKILL',
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A program may end without having read all of its input.
  child.stdin.on('error', () => undefined);
  child.once('error', reject);
  child.once('close', (status) => {
    const out = Buffer.concat(stdout);
    const err = Buffer.concat(stderr).toString();
    resolve({ status, stdout: out, stderr: err, all: `${out.toString()}${err}` });
  });
  child.stdin.end(options.input ?? '');
  return promise;
}

/** Its output; throws with everything it said when it fails. */
export async function succeed(name: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, all } = await run(name, args, options);
  if (status !== 0) throw new Error(`${name} ${args.join(' ')}: exit ${status}\n${all}`);
  return stdout.toString();
}
