import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { findProgram } from './program.js';

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export interface ServerProcess {
  pid: number;
  /** Everything it said so far. */
  said(): string;
  signal(name: NodeJS.Signals): void;
  stop(): Promise<void>;
}

/** Starts a server of others in the foreground and waits until it listens on `port` of 127.0.0.1. */
export async function startServer(name: string, args: readonly string[], port: number): Promise<ServerProcess> {
  const child = spawn(findProgram(name) ?? name, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = once(child, 'close').then(() => undefined);
  await eventually(
    async () => {
      if (child.exitCode !== null) throw new Error(`${name} ended at its start: ${said}`);
      return listens(port);
    },
    { within: 10_000, what: `${name} on port ${port}` },
  );
  return {
    pid: child.pid ?? 0,
    said: () => said,
    signal: (signal) => void child.kill(signal),
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Asks until the answer is neither false nor undefined; throws after `within` milliseconds. */
export async function eventually<T>(
  ask: () => Promise<T | false | undefined>,
  { within, what }: { within: number; what: string },
): Promise<T> {
  const end = performance.now() + within;
  for (;;) {
    const answer = await ask();
    if (answer !== false && answer !== undefined) return answer;
    if (performance.now() > end) throw new Error(`not within ${within} ms: ${what}`);
    await pause(50);
  }
}
