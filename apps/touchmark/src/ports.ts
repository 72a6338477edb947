import { readFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { AuthorityError, type Config } from '#kernel';
import { replaceFile } from './home.js';

export type Listener = keyof Config['ports'];

export const PORT_VARIABLES: Readonly<Record<Listener, string>> = {
  est: 'TOUCHMARK_EST_PORT',
  api: 'TOUCHMARK_API_PORT',
  status: 'TOUCHMARK_STATUS_PORT',
  metrics: 'TOUCHMARK_METRICS_PORT',
};

/**
 * The ports to listen on, each tried before anything starts. 0 becomes the port of the last start, the first time a free
 * one, kept in `home/ports.json`: certificates name these addresses. `conflict` in one line that names port and variable.
 */
export async function choosePorts(
  config: Config,
  listeners: readonly Listener[],
): Promise<Partial<Record<Listener, number>>> {
  const { home, host, ports } = config;
  const file = path.join(home, 'ports.json');
  const kept = await keptPorts(file);
  const chosen: Partial<Record<Listener, number>> = {};
  const taken = new Map<number, Listener>();
  for (const listener of listeners) {
    const wanted = ports[listener];
    if (wanted === undefined) continue;
    const port = await bind(host, wanted === 0 ? (kept[listener] ?? 0) : wanted, listener);
    const other = taken.get(port);
    if (other !== undefined) {
      throw new AuthorityError(
        'conflict',
        `${PORT_VARIABLES[other]} and ${PORT_VARIABLES[listener]} are both ${port}: give each its own port.`,
        { member: PORT_VARIABLES[listener] },
      );
    }
    taken.set(port, listener);
    chosen[listener] = port;
  }
  const free = listeners.filter((listener) => ports[listener] === 0 && kept[listener] !== chosen[listener]);
  if (free.length > 0) {
    const entries = free.map((listener) => [listener, chosen[listener]]);
    await replaceFile(file, `${JSON.stringify({ ...kept, ...Object.fromEntries(entries) })}\n`, 0o644);
  }
  return chosen;
}

async function keptPorts(file: string): Promise<Partial<Record<Listener, number>>> {
  const text = await readFile(file, 'utf8').catch(() => '{}');
  try {
    const read = JSON.parse(text) as Partial<Record<Listener, unknown>>;
    return Object.fromEntries(Object.entries(read).filter(([, port]) => Number.isInteger(port) && Number(port) > 0));
  } catch (cause) {
    throw new AuthorityError('invalid', `${file} is not JSON: restore it, or remove it to have new ports chosen.`, {
      cause,
    });
  }
}

/** Listens for a moment; the port it got. */
function bind(host: string, port: number, listener: Listener): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => reject(portProblem(error, host, port, listener)));
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address() as AddressInfo;
      server.close(() => resolve(address.port));
    });
  });
}

/** Why listening failed, in one line that names the variable to change; also for a failure of the real server later. */
export function portProblem(
  error: NodeJS.ErrnoException,
  host: string,
  port: number,
  listener: Listener,
): AuthorityError {
  const variable = PORT_VARIABLES[listener];
  const options = { cause: error, member: variable };
  switch (error.code) {
    case 'EADDRINUSE':
      return new AuthorityError(
        'conflict',
        `Port ${port} is in use: stop what listens on ${host}:${port}, or set ${variable} to another port (0 takes a free one).`,
        options,
      );
    case 'EACCES':
      return new AuthorityError(
        'forbidden',
        `Port ${port} may not be used by this user: set ${variable} to one above 1023.`,
        options,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new AuthorityError('invalid', `TOUCHMARK_HOST: ${host} is no address of this machine.`, options);
    default:
      return new AuthorityError(
        'unavailable',
        `Cannot listen on ${host}:${port} (${variable}): ${error.message}.`,
        options,
      );
  }
}
