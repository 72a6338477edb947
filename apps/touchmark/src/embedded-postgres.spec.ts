import { afterEach, describe, expect, test } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { pino } from 'pino';
import { startEmbeddedPostgres, type EmbeddedPostgres } from './embedded-postgres.js';
import { runSource } from '../test/run-source.js';
import { readPostmaster } from './postgres/postmaster.js';

const log = pino({ level: 'silent' });
const PASSWORD = 'correct horse';
const asRoot = process.getuid?.() === 0;
if (!asRoot) process.stderr.write('skipped, what only root can set up: closed directories of another user\n');
const running: EmbeddedPostgres[] = [];
const directories: string[] = [];

async function newHome(): Promise<string> {
  const parent = await mkdtemp(path.join(tmpdir(), 'tm-pg-'));
  await chmod(parent, 0o755);
  directories.push(parent);
  return path.join(parent, 'var');
}

async function start(home: string, password = PASSWORD): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ home, password, log });
  running.push(postgres);
  return postgres;
}

async function query(postgres: EmbeddedPostgres, sql: string): Promise<Record<string, unknown>[]> {
  const { host, port, user, password, database } = postgres;
  const client = new pg.Client({ host, port, user, password, database });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function serverPid(home: string): Promise<number> {
  const postmaster = await readPostmaster(await realpath(path.join(home, 'pg')));
  if (postmaster === undefined) throw new Error('no server');
  return postmaster.pid;
}

/** Live processes (zombies do not count) that work in the directory. */
async function workersIn(directory: string): Promise<string[]> {
  const found = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const cwd = await realpath(`/proc/${pid}/cwd`).catch(() => '');
    if (cwd === directory) found.push(pid);
  }
  return found;
}

/** What is there still after 5 s: what has ended is gone when its parent has seen it. */
async function leftIn(directory: string): Promise<string[]> {
  for (let polls = 0; polls < 100; polls++) {
    if ((await workersIn(directory)).length === 0) return [];
    await delay(50);
  }
  return workersIn(directory);
}

afterEach(async () => {
  for (const postgres of running.splice(0)) await postgres.stop();
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
});

describe('embedded Postgres', () => {
  test('first start makes a database for scram only, durable, on a socket and no network port', async () => {
    const home = await newHome();
    const postgres = await start(home);
    expect(postgres.adopted).toBe(false);
    const settings = await query(
      postgres,
      `select name, setting from pg_settings where name in
       ('fsync', 'synchronous_commit', 'listen_addresses', 'password_encryption', 'server_encoding', 'max_connections')`,
    );
    expect(Object.fromEntries(settings.map(({ name, setting }) => [name, setting]))).toEqual({
      fsync: 'on',
      synchronous_commit: 'on',
      listen_addresses: '',
      password_encryption: 'scram-sha-256',
      server_encoding: 'UTF8',
      max_connections: '100',
    });
    await expect(query({ ...postgres, password: 'wrong' }, 'select 1')).rejects.toMatchObject({ code: '28P01' });
    expect((await stat(home)).mode & 0o777).toBe(0o711);
    const data = await stat(path.join(home, 'pg'));
    expect(data.mode & 0o777).toBe(0o700);
    expect(data.uid === 0).toBe(false);
    expect((await readdir(home)).sort()).toEqual(['pg']);
  });

  test('stop leaves no process, and the next start keeps the data', async () => {
    const home = await newHome();
    const first = await start(home);
    await query(first, 'create table kept (n int)');
    await query(first, 'insert into kept values (42)');
    await first.stop();
    await first.stop();
    expect(await leftIn(path.join(home, 'pg'))).toEqual([]);
    const second = await start(home);
    expect(second.adopted).toBe(false);
    expect(await query(second, 'select n from kept')).toEqual([{ n: 42 }]);
  });

  test('what starts killed during the first one left is removed, unless one may still be at it', async () => {
    const home = await newHome();
    await (await start(home)).stop();
    for (const name of ['pg.new-old', 'pg.new-now']) await mkdir(path.join(home, name));
    await writeFile(path.join(home, '.pw-old'), 'x');
    for (const name of ['pg.new-old', '.pw-old']) await utimes(path.join(home, name), 1, 1);
    await start(home);
    expect((await readdir(home)).sort()).toEqual(['pg', 'pg.new-now']);
  });

  test('a start adopts the server of a process that was killed', async () => {
    const home = await newHome();
    await (await start(home)).stop();
    const pid = await startAndKill(home);
    const adopted = await start(home);
    expect(adopted.adopted).toBe(true);
    expect(await serverPid(home)).toBe(pid);
    expect(await query(adopted, 'select n from left_behind')).toEqual([{ n: 7 }]);
    await adopted.stop();
    expect(await leftIn(path.join(home, 'pg'))).toEqual([]);
  });

  test('a server that was killed itself is started again, with what it had committed', async () => {
    const home = await newHome();
    const first = await start(home);
    await query(first, 'create table kept as select 1 as n');
    process.kill(await serverPid(home), 'SIGKILL');
    const second = await start(home);
    expect(await query(second, 'select n from kept')).toEqual([{ n: 1 }]);
  });

  test('a left-over postmaster.pid whose number another process has does not hold up the start', async () => {
    const home = await newHome();
    const first = await start(home);
    const file = path.join(home, 'pg', 'postmaster.pid');
    const content = await readFile(file, 'utf8');
    const { uid, gid } = await stat(file);
    await first.stop();
    const other = spawn('/bin/sleep', ['60'], { cwd: '/', ...(asRoot ? { uid, gid } : {}) });
    try {
      const forge = `printf '%s' "$1" > "$2"`;
      execFileSync('/bin/sh', ['-c', forge, 'sh', content.replace(/^\d+/, String(other.pid)), file], {
        cwd: '/',
        ...(asRoot ? { uid, gid } : {}),
      });
      const second = await start(home);
      expect(second.adopted).toBe(false);
    } finally {
      other.kill('SIGKILL');
    }
  });

  test('two starts at once on an empty home end in one server', async () => {
    const home = await newHome();
    const [one, two] = await Promise.all([start(home), start(home)]);
    await query(one, 'create table shared as select 5 as n');
    expect(await query(two, 'select n from shared')).toEqual([{ n: 5 }]);
    expect((await readdir(home)).sort()).toEqual(['pg']);
  });

  test('a path with spaces and quotes works, and one too long for a socket address gets a short directory that is kept', async () => {
    const parent = path.join(path.dirname(await newHome()), `it's "quoted", $HOME ${'x'.repeat(90)}`);
    const home = path.join(parent, 'var');
    const first = await start(home);
    expect(Buffer.byteLength(first.host)).toBeLessThan(60);
    expect(await query(first, 'select 1 as n')).toEqual([{ n: 1 }]);
    await first.stop();
    const second = await start(home);
    expect(second.host).toBe(first.host);
    await rm(second.host, { recursive: true });
    const third = await start(home);
    expect(await query(third, 'select 1 as n')).toEqual([{ n: 1 }]);
    directories.push(third.host);
  });

  test('a path with spaces and quotes works for the socket itself', async () => {
    const home = path.join(path.dirname(await newHome()), `it's "x", y`);
    const postgres = await start(home);
    expect(postgres.host).toBe(path.join(home, 'pg'));
    expect(await query(postgres, 'select 1 as n')).toEqual([{ n: 1 }]);
  });

  test('another password than the data were made with is one clear line', async () => {
    const home = await newHome();
    await start(home);
    await expect(startEmbeddedPostgres({ home, password: 'other', log })).rejects.toMatchObject({
      kind: 'unavailable',
      detail: expect.stringMatching(/db-superuser.*restore/),
    });
  });

  test('files that are no database are refused and not touched', async () => {
    const home = await newHome();
    await mkdir(path.join(home, 'pg', 'photos'), { recursive: true });
    if (asRoot) execFileSync('chown', ['-R', 'nobody', path.join(home, 'pg')]);
    await expect(start(home)).rejects.toMatchObject({ detail: expect.stringMatching(/no database.*TOUCHMARK_HOME/) });
    expect(await readdir(path.join(home, 'pg'))).toEqual(['photos']);
  });

  (asRoot ? test : test.skip)(
    'as root below a directory that its user cannot enter, the data lie elsewhere and stay',
    async () => {
      const home = await newHome();
      await chmod(path.dirname(home), 0o700);
      const first = await start(home);
      const data = await realpath(path.join(home, 'pg'));
      directories.push(path.dirname(data));
      expect(data).toMatch(/^\/var\/lib\/touchmark-/);
      await query(first, 'create table kept as select 3 as n');
      await first.stop();
      expect(await query(await start(home), 'select n from kept')).toEqual([{ n: 3 }]);
    },
  );
});

/** Starts the server from another process, which is then killed without a chance to stop it; the server's pid. */
async function startAndKill(home: string): Promise<number> {
  const holder = runSource('test/hold-postgres.ts', [home, PASSWORD]);
  await holder.said('ready');
  const pid = await serverPid(home);
  holder.kill('SIGKILL');
  await holder.ended();
  return pid;
}
