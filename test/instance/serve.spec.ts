import { afterEach, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { call } from '../harness/http.js';
import { ProcessInstance } from '../harness/process-instance.js';

let instance: ProcessInstance | undefined;

afterEach(async () => {
  await instance?.dispose();
  instance = undefined;
});

async function startNew(env: Record<string, string> = {}) {
  instance = await ProcessInstance.create(env);
  return instance;
}

/** For what a first start is not the matter of. */
async function startPrepared(env: Record<string, string> = {}) {
  instance = await ProcessInstance.prepared(env);
  return instance;
}

test('the first start is ready within 15 s, a later one within 5 s and with the same state', async () => {
  const one = await startNew();
  const began = performance.now();
  const first = await one.start();
  expect(performance.now() - began).toBeLessThan(15_000);
  const root = await readFile(first.root, 'utf8');
  const token = await readFile(first.operatorToken, 'utf8');
  expect(await one.stop()).toBe(0);
  const again = performance.now();
  const second = await one.start();
  expect(performance.now() - again).toBeLessThan(5000);
  expect(await readFile(second.root, 'utf8')).toBe(root);
  expect(await readFile(second.operatorToken, 'utf8')).toBe(token);
  expect([second.est, second.api, second.status]).toEqual([first.est, first.api, first.status]);
});

test('SIGTERM ends it with 0 within 10 s, removes ready.json and stops Postgres too', async () => {
  const one = await startPrepared();
  await one.start();
  expect(existsSync(path.join(one.home, 'pg/postmaster.pid'))).toBe(true);
  const began = performance.now();
  expect(await one.stop()).toBe(0);
  expect(performance.now() - began).toBeLessThan(10_000);
  expect(existsSync(path.join(one.home, 'ready.json'))).toBe(false);
  expect(existsSync(path.join(one.home, 'pg/postmaster.pid'))).toBe(false);
});

test('after SIGKILL the next start takes over the running Postgres and goes on', async () => {
  const one = await startPrepared();
  const first = await one.start();
  const root = await readFile(first.root, 'utf8');
  await one.kill();
  expect(existsSync(path.join(one.home, 'pg/postmaster.pid'))).toBe(true);
  const second = await one.start();
  expect(await readFile(second.root, 'utf8')).toBe(root);
});

test('a port in use is one clear line that names port and variable, and exit status 1', async () => {
  const blocker = createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  const { port } = blocker.address() as AddressInfo;
  const one = await startNew({ TOUCHMARK_API_PORT: String(port) });
  const [code] = (await once(one.spawn(), 'exit')) as [number];
  blocker.close();
  expect(code).toBe(1);
  expect(one.output.trim().split('\n')).toHaveLength(1);
  expect(one.output).toContain(String(port));
  expect(one.output).toContain('TOUCHMARK_API_PORT');
});

test.each([
  ['TOUCHMARK_EST_PORT', 'eighty'],
  ['TOUCHMARK_STATUS_URL', 'https://status.example'],
  ['TOUCHMARK_HOSTNAMES', 'not a name'],
  ['DATABASE_URL', 'mysql://localhost/x'],
  ['LOG_LEVEL', 'loud'],
  ['TOUCHMARK_OCSP_RENEW_SECONDS', '999999999'],
])('a bad %s (%s) is one clear line that names it, and exit status 2', async (name, value) => {
  const one = await startNew({ [name]: value });
  const [code] = (await once(one.spawn(), 'exit')) as [number];
  expect(code).toBe(2);
  expect(one.output.trim().split('\n')).toHaveLength(1);
  expect(one.output).toContain(name);
  expect(existsSync(path.join(one.home, 'pg'))).toBe(false);
});

test('Postgres stopped while running: 503 with Retry-After, status goes on, and all recovers by itself', async () => {
  const one = await startPrepared();
  const ready = await one.start();
  const ca = await readFile(ready.root, 'utf8');
  const token = (await readFile(ready.operatorToken, 'utf8')).trim();
  const list = () =>
    call(`${ready.api}/v1/organizations`, { tls: { ca }, headers: { authorization: `Bearer ${token}` } });
  const issuers = (
    await call(`${ready.api}/v1/issuers`, { tls: { ca }, headers: { authorization: `Bearer ${token}` } })
  ).json<{
    items: { id: string; kind: string }[];
  }>();
  const crl = `${ready.status}/crl/${issuers.items.find((one_) => one_.kind === 'issuing')!.id}.crl`;
  expect((await call(crl)).status).toBe(200);
  const postmaster = Number((await readFile(path.join(one.home, 'pg/postmaster.pid'), 'utf8')).split('\n')[0]);
  // A stopped process answers nobody, as a database that hangs; immediate shutdown is the crash.
  process.kill(postmaster, 'SIGQUIT');
  await until(async () => (await list().catch(() => undefined))?.status === 503);
  const refused = await list();
  expect(refused.status).toBe(503);
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  expect(refused.headers['content-type']).toContain('application/problem+json');
  expect((await call(crl)).status).toBe(200);
  const readiness = await call(`${ready.api}/readyz`, { tls: { ca } });
  expect(readiness.status).toBe(503);
  await restartPostgres(one);
  await until(async () => (await list().catch(() => undefined))?.status === 200);
  await until(async () => (await call(`${ready.api}/readyz`, { tls: { ca } })).status === 200);
  expect(one.child?.exitCode).toBe(null);
}, 60_000);

test('embedded Postgres that has died is started again, and all recovers by itself', async () => {
  const one = await startPrepared({ LOG_LEVEL: 'fatal' });
  const ready = await one.start();
  const ca = await readFile(ready.root, 'utf8');
  const postmaster = Number((await readFile(path.join(one.home, 'pg/postmaster.pid'), 'utf8')).split('\n')[0]);
  process.kill(postmaster, 'SIGKILL');
  const isReady = async () => (await call(`${ready.api}/readyz`, { tls: { ca } })).status === 200;
  await until(async () => !(await isReady()));
  await until(isReady, 40_000);
  expect(await one.stop()).toBe(0);
}, 60_000);

async function until(done: () => Promise<boolean>, limitMs = 20_000): Promise<void> {
  const limit = performance.now() + limitMs;
  while (!(await done())) {
    if (performance.now() > limit) throw new Error(`waited ${limitMs / 1000} s in vain`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** As an operator would: the same data directory, by the module that the program itself uses. */
async function restartPostgres(one: ProcessInstance): Promise<void> {
  const { startEmbeddedPostgres } = await import('../../apps/touchmark/src/embedded-postgres.js');
  const { pino } = await import('pino');
  const password = (await readFile(path.join(one.home, 'secrets/db-superuser'), 'utf8')).trim();
  await startEmbeddedPostgres({ home: one.home, password, log: pino({ level: 'silent' }) });
}
