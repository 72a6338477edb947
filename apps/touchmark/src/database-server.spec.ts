import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadConfig, PLANES } from '#kernel';
import { runSource } from '../test/run-source.js';
import { openDatabaseServer } from './database-server.js';
import { createLogger } from './log.js';
import { openSecrets } from './secrets.js';

const log = createLogger({ level: 'silent', production: true });
let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'tm-db-'));
});

afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

describe('database server', () => {
  test('beside DATABASE_URL each plane is its own role, and its own URL wins', async () => {
    const config = loadConfig({
      TOUCHMARK_HOME: home,
      DATABASE_URL: 'postgres://owner:pw@db.example:6432/main',
      TOUCHMARK_DB_EST_URL: 'postgres://est_user:other@replica.example/main',
    });
    const secrets = openSecrets(config, PLANES, { create: true });
    const server = await openDatabaseServer(config, secrets, log);
    expect(server.connectionOf('migrate')).toMatchObject({
      host: 'db.example',
      port: 6432,
      user: 'owner',
      password: 'pw',
    });
    const { databasePassword: password } = secrets.of('worker');
    expect(server.connectionOf('worker')).toMatchObject({
      host: 'db.example',
      port: 6432,
      user: 'tm_worker',
      password,
    });
    expect(server.connectionOf('est')).toMatchObject({ host: 'replica.example', user: 'est_user', password: 'other' });
    await server.stop();
  });

  test('migrate makes the schema on embedded Postgres once, and leaves nothing running', async () => {
    const migrate = () => runSource('src/main.ts', ['migrate', '--json'], { env: { TOUCHMARK_HOME: home } }).ended();
    const first = await migrate();
    expect(first).toMatchObject({ status: 0, stderr: '' });
    expect((JSON.parse(first.stdout) as { applied: string[] }).applied.length).toBeGreaterThan(5);
    const second = await migrate();
    expect(second).toMatchObject({ status: 0, stdout: expect.stringContaining('"applied": []') });
    const config = loadConfig({ TOUCHMARK_HOME: home });
    const server = await openDatabaseServer(config, openSecrets(config, PLANES), log);
    expect(server.adopted).toBe(false);
    await server.stop();
  });
});
