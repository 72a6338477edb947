import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { crowding } from './crowding.js';
import { redisOfSuite } from './redis.js';
import { prepareInstance } from './template.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const MAIN = path.join(ROOT, 'dist/apps/touchmark/src/main.js');

export interface Ready {
  pid: number;
  est: string;
  api: string;
  status: string;
  root: string;
  operatorToken: string;
}

/** The built program in a process of its own, as `npm start` runs it: what can be killed. */
export class ProcessInstance {
  child: ChildProcess | undefined;
  output = '';

  private constructor(
    readonly home: string,
    private readonly env: Record<string, string>,
    private readonly options: readonly string[],
  ) {}

  /** `options` are those of `serve`. */
  static async create(env: Record<string, string> = {}, options: readonly string[] = []): Promise<ProcessInstance> {
    if (!existsSync(MAIN)) throw new Error('dist/ is missing: run "npm run build" first');
    const home = await mkdtemp(path.join(tmpdir(), 'touchmark-process-'));
    await chmod(home, 0o711);
    return new ProcessInstance(home, { ...redisOfSuite(), ...env }, options);
  }

  /** The same with the schema in place, as in the home of a second start; keys and CAs are still to be made. */
  static async prepared(env: Record<string, string> = {}, options: readonly string[] = []): Promise<ProcessInstance> {
    const instance = await ProcessInstance.create(env, options);
    await prepareInstance(instance.home);
    return instance;
  }

  /** Starts the program and returns at once. */
  spawn(): ChildProcess {
    const ports = { TOUCHMARK_EST_PORT: '0', TOUCHMARK_API_PORT: '0', TOUCHMARK_STATUS_PORT: '0' };
    const env = {
      PATH: process.env['PATH'] ?? '',
      TOUCHMARK_HOME: this.home,
      LOG_LEVEL: 'warn',
      NODE_COMPILE_CACHE: path.join(tmpdir(), 'compiled'),
      ...ports,
      ...this.env,
    };
    const child = spawn(process.execPath, [MAIN, 'serve', ...this.options], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.output = '';
    child.stdout.on('data', (data: Buffer) => (this.output += data.toString()));
    child.stderr.on('data', (data: Buffer) => (this.output += data.toString()));
    this.child = child;
    return child;
  }

  /** Starts it and waits for ready.json. Throws with what it printed when it ends before. */
  async start(limitMs = 30_000 * crowding()): Promise<Ready> {
    const child = this.spawn();
    const until = performance.now() + limitMs;
    for (;;) {
      const text = await readFile(path.join(this.home, 'ready.json'), 'utf8').catch(() => '');
      if (text !== '' && (JSON.parse(text) as Ready).pid === child.pid) return JSON.parse(text) as Ready;
      if (child.exitCode !== null || child.signalCode !== null || performance.now() > until) {
        throw new Error(`not ready (exit ${child.exitCode ?? child.signalCode}): ${this.output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Graceful; the exit code. */
  async stop(): Promise<number | null> {
    return this.end('SIGTERM');
  }

  /** Whatever state it is in: nothing stays running, nothing stays on disk. */
  async dispose(): Promise<void> {
    if (this.child?.exitCode === null && this.child.signalCode === null) await this.stop();
    else if (existsSync(path.join(this.home, 'pg/postmaster.pid'))) {
      // Killed before: Postgres outlives it. The next start adopts and stops it.
      await this.start().catch(() => undefined);
      await this.stop();
    }
    await rm(this.home, { recursive: true, force: true });
  }

  private async end(signal: NodeJS.Signals): Promise<number | null> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exited = once(child, 'exit');
    child.kill(signal);
    const [code] = (await exited) as [number | null];
    return code;
  }
}
