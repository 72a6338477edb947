import { open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';

/** Enough for what a server says while it starts. */
const LAST_BYTES = 8_192;

/** Bytes in the log that `pg_ctl` gives the server; remember it before a start. */
export async function serverLogSize(dataDirectory: string): Promise<number> {
  return (await stat(path.join(dataDirectory, 'server.log')).catch(() => undefined))?.size ?? 0;
}

/**
 * What the server has said since that size was taken. Once its collector runs it writes to the file that
 * `current_logfiles` names (a line `stderr log/postgres-Sat.log`): then the end of that one follows.
 */
export async function readServerLog(dataDirectory: string, since: number): Promise<string> {
  const first = await readFrom(path.join(dataDirectory, 'server.log'), since);
  if (!first.includes('redirecting log output')) return first;
  const current = await readFile(path.join(dataDirectory, 'current_logfiles'), 'utf8').catch(() => '');
  const name = /^stderr (.+)$/m.exec(current)?.[1];
  if (name === undefined) return first;
  const size = (await stat(path.join(dataDirectory, name)).catch(() => undefined))?.size ?? 0;
  const last = await readFrom(path.join(dataDirectory, name), Math.max(0, size - LAST_BYTES));
  return `${first}${last.split(/(?=^.*starting PostgreSQL)/m).at(-1) ?? ''}`;
}

async function readFrom(file: string, position: number): Promise<string> {
  const handle = await open(file, 'r').catch(() => undefined);
  if (handle === undefined) return '';
  try {
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(LAST_BYTES), position });
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
