import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A redis-server of its own, on a free port, with nothing kept on disk. */
export interface TestRedis {
  url: string;
  /** What redis-cli prints. */
  cli(...words: string[]): string;
  stop(): Promise<void>;
}

/** Why specs on Redis cannot run here; undefined when they can. */
export function redisIsMissing(): string | undefined {
  const missing = ['redis-server', 'redis-cli'].find((program) => spawnSync(program, ['--version']).status !== 0);
  return missing === undefined ? undefined : `${missing} is not on PATH`;
}

export async function startRedis(): Promise<TestRedis> {
  const directory = await mkdtemp('/tmp/tm-redis-');
  const port = await freePort();
  const where = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory];
  const redis: ChildProcess = spawn('redis-server', [...where, '--save', '', '--daemonize', 'no'], { stdio: 'ignore' });
  const cli = (...words: string[]): string =>
    spawnSync('redis-cli', ['-p', String(port), ...words], { encoding: 'utf8' }).stdout;
  const until = performance.now() + 10_000;
  while (!cli('ping').startsWith('PONG')) {
    if (performance.now() > until) throw new Error('redis-server does not answer');
    await delay(25);
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    cli,
    stop: async () => {
      const ended = new Promise((resolve) => redis.once('exit', resolve));
      redis.kill('SIGTERM');
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/**
 * With REDIS_URL set, instances of the suite keep their jobs there, each in a numbered database of its own: start that
 * server with `--databases 10000`.
 */
export function redisOfSuite(): Record<string, string> {
  const url = process.env['REDIS_URL'];
  return url === undefined || url === '' ? {} : { REDIS_URL: `${url}/${randomInt(10_000)}` };
}
