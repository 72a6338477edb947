import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadConfig } from '#kernel';
import { choosePorts } from './ports.js';

let home: string;
const servers: Server[] = [];

async function occupied(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return (server.address() as AddressInfo).port;
}

const config = (env: Record<string, string>) => loadConfig({ TOUCHMARK_HOME: home, ...env });
const ALL_FREE = { TOUCHMARK_EST_PORT: '0', TOUCHMARK_API_PORT: '0', TOUCHMARK_STATUS_PORT: '0' };

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'tm-ports-'));
});

afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  await rm(home, { recursive: true, force: true });
});

describe('ports', () => {
  test('0 takes free ports, different ones, and the next start has the same', async () => {
    const first = await choosePorts(config(ALL_FREE), ['est', 'api', 'status', 'metrics']);
    expect(Object.keys(first)).toEqual(['est', 'api', 'status']);
    expect(new Set(Object.values(first)).size).toBe(3);
    expect(JSON.parse(await readFile(path.join(home, 'ports.json'), 'utf8'))).toEqual(first);
    expect(await choosePorts(config(ALL_FREE), ['est', 'api', 'status'])).toEqual(first);
  });

  test('planes started on their own keep the ports of the others', async () => {
    const first = await choosePorts(config(ALL_FREE), ['est', 'api', 'status']);
    await choosePorts(config({ ...ALL_FREE, TOUCHMARK_METRICS_PORT: '0' }), ['est', 'metrics']);
    expect(JSON.parse(await readFile(path.join(home, 'ports.json'), 'utf8'))).toMatchObject(first);
  });

  test('a port in use is one line that names it and its variable', async () => {
    const port = await occupied();
    const attempt = choosePorts(config({ ...ALL_FREE, TOUCHMARK_API_PORT: String(port) }), ['est', 'api', 'status']);
    await expect(attempt).rejects.toMatchObject({
      kind: 'conflict',
      member: 'TOUCHMARK_API_PORT',
      detail: expect.stringMatching(new RegExp(`^Port ${port} is in use: .*TOUCHMARK_API_PORT[^\n]*$`)),
    });
  });

  test('a kept port that is in use is an error too: certificates name it', async () => {
    const { status } = await choosePorts(config(ALL_FREE), ['status']);
    const server = createServer().listen(status, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
    await expect(choosePorts(config(ALL_FREE), ['status'])).rejects.toThrow('TOUCHMARK_STATUS_PORT');
  });

  test('one port for two planes names both variables', async () => {
    const port = String((await choosePorts(config(ALL_FREE), ['est'])).est);
    const both = config({ TOUCHMARK_EST_PORT: port, TOUCHMARK_STATUS_PORT: port });
    await expect(choosePorts(both, ['est', 'status'])).rejects.toThrow(/TOUCHMARK_EST_PORT and TOUCHMARK_STATUS_PORT/);
  });

  test('an address that is not ours names TOUCHMARK_HOST', async () => {
    const foreign = config({ ...ALL_FREE, TOUCHMARK_HOST: '192.0.2.1' });
    await expect(choosePorts(foreign, ['est'])).rejects.toThrow(/TOUCHMARK_HOST: 192\.0\.2\.1/);
  });
});
