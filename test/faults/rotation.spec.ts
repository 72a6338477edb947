import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { parseVersions } from '../../apps/touchmark/src/key-versions.js';
import { readPostmaster } from '../../apps/touchmark/src/postgres/postmaster.js';
import { KeyRing, open, sealContext } from '#credential';
import { openOcspDelegate } from '#status';
import { readPublicKey } from '#pki';
import { call } from '../harness/http.js';
import { csrOf, newKey, registerRelease, registerTestDevice, simpleEnroll } from '../harness/device.js';
import { MAIN, ProcessInstance, type Ready } from '../harness/process-instance.js';
import { instanceAt } from '../harness/signer-process.js';
import { Load } from './load.js';

const ROTATED = ['pepper', 'ca.kek', 'api.kek', 'audit.kek', 'ocsp.kek'] as const;

let planes: ProcessInstance;
let ready: Ready;
let load: Load;
const before = new Map<string, KeyRing>();

beforeAll(async () => {
  planes = await ProcessInstance.prepared({
    TOUCHMARK_SIGNER: 'process',
    TOUCHMARK_CANARY_SECONDS: '0',
    TOUCHMARK_WEBHOOK_NETWORKS: '192.0.2.0/24',
  });
  ready = await planes.start();
  load = await Load.open(ready, 40);
  for (const name of ROTATED) before.set(name, ringOf(name));
}, 60_000);
afterAll(async () => {
  load?.close();
  await planes?.dispose();
});

const ringOf = (name: string): KeyRing => {
  const file = path.join(planes.home, 'secrets', name);
  return new KeyRing(parseVersions(readFileSync(file, 'utf8').trim(), file));
};

interface Result {
  inUse: number;
  next: number | null;
  old: number[];
  resealed?: number;
  broken?: number;
  retired?: number[];
}

async function touchmark(...args: string[]): Promise<Result> {
  const env = { PATH: process.env['PATH'] ?? '', TOUCHMARK_HOME: planes.home };
  const child = spawn(process.execPath, [MAIN, 'secrets', ...args, '--json'], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let failed = '';
  child.stdout.on('data', (data: Buffer) => (said += data.toString()));
  child.stderr.on('data', (data: Buffer) => (failed += data.toString()));
  const [status] = (await once(child, 'close')) as [number];
  if (status !== 0) throw new Error(failed);
  return JSON.parse(said) as Result;
}

async function sql<T extends object>(text: string): Promise<T[]> {
  const { socketDirectory: host, port } = (await readPostmaster(path.join(planes.home, 'pg')))!;
  const password = readFileSync(path.join(planes.home, 'secrets/db-superuser'), 'utf8').trim();
  const client = new pg.Client({ host, port, user: 'postgres', password, database: 'touchmark' });
  await client.connect();
  await client.query('set search_path = touchmark');
  const { rows } = await client.query<T>(text);
  await client.end();
  return rows;
}

test('pepper and key-encryption keys are rotated under load without one failed request', async () => {
  const instance = await instanceAt(ready);
  const release = await registerRelease(instance);
  const early = await Promise.all(Array.from({ length: 4 }, () => registerTestDevice(instance, release)));
  const once = { appId: release.appId, releaseId: release.releaseId };
  const repeat = { headers: { 'idempotency-key': 'the-same-request-across-versions' } };
  const first = await instance.api('POST', '/v1/devices', once, repeat);
  const hook = { url: 'https://192.0.2.1/hook', events: ['certificate.*'] };
  expect((await instance.api('POST', '/v1/webhooks', hook)).status).toBe(201);
  const issued = await instance.api('POST', '/v1/keys', {
    releaseId: release.releaseId,
    audience: 'all',
    environment: 'live',
  });
  const { key } = issued.json<{ key: string }>();

  load.start();
  let watching = true;
  const answers: string[] = [];
  const watch = (async () => {
    while (watching) {
      const reply = await call(`${ready.api}/v1/introspect`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${readFileSync(ready.operatorToken, 'utf8').trim()}`,
          'content-type': 'application/x-www-form-urlencoded',
        },
        body: `token=${key}`,
        tls: { ca: readFileSync(ready.root, 'utf8') },
      });
      answers.push(`${reply.status} ${reply.json<{ active?: boolean }>().active}`);
      await pause(20);
    }
  })();
  await pause(1000);
  const results = await Promise.all(ROTATED.map((name) => touchmark('rotate', name)));
  // Whoever registered before, and whoever repeats a request of before, notices nothing.
  for (const device of early.slice(0, 2)) {
    expect((await simpleEnroll(instance, device, csrOf(device, newKey()))).status).toBe(200);
  }
  const again = await instance.api('POST', '/v1/devices', once, repeat);
  expect(again.json()).toEqual(first.json());
  await load.stop();
  watching = false;
  await watch;

  process.stdout.write(
    `rotation under load: ${JSON.stringify({ requests: load.tries.length, introspections: answers.length, results })}\n`,
  );
  for (const one of results) expect(one).toMatchObject({ inUse: 2, next: null, old: [1], broken: 0 });
  expect(load.tries.length).toBeGreaterThan(100);
  expect(load.tries.filter(({ status }) => status !== 200 && status !== 201)).toEqual([]);
  expect(answers.filter((one) => one !== '200 true')).toEqual([]);
  expect(answers.length).toBeGreaterThan(50);
}, 120_000);

test('an old version is removed only when nothing is sealed under it, and not too early', async () => {
  await expect(touchmark('rotate', 'pepper', '--step', 'retire')).rejects.toThrow(
    /retire the old versions in 14\d\d minutes/,
  );
  const done = await Promise.all(ROTATED.map((name) => touchmark('rotate', name, '--step', 'retire', '--force')));
  for (const one of done) expect(one).toMatchObject({ inUse: 2, old: [], retired: [1] });
  for (const table of ['keys', 'operator_tokens', 'enrollment_secrets']) {
    const [row] = await sql<{ old: number; all: number }>(
      `select count(*) filter (where pepper_version < 2)::int as old, count(*)::int as all from ${table}`,
    );
    expect({ table, old: row!.old, some: row!.all > 0 }).toEqual({ table, old: 0, some: true });
  }
  const audited = await sql(`select distinct subject from audit where action = 'secret.rotated' order by 1`);
  expect(audited).toHaveLength(ROTATED.length);
});

test('whoever has the old keys and a dump of today opens nothing', async () => {
  const caKeys = await sql<{ id: string; key_type: string; spki: Buffer; sealed_private: Buffer }>(
    `select * from ca_keys`,
  );
  expect(caKeys.length).toBeGreaterThanOrEqual(2);
  for (const row of caKeys) {
    const context = sealContext('ca-key', { keyId: row.id, keyType: row.key_type, spki: row.spki.toString('hex') });
    expect(() => open(before.get('ca.kek')!, row.sealed_private, context)).toThrow();
    expect(open(ringOf('ca.kek'), row.sealed_private, context).length).toBeGreaterThan(100);
  }
  const hooks = await sql<{ id: string; organization_id: string; sealed_secret: Buffer }>(`select * from webhooks`);
  expect(hooks).toHaveLength(1);
  for (const row of hooks) {
    const context = sealContext('webhook', { id: row.id, organizationId: row.organization_id });
    expect(() => open(before.get('api.kek')!, row.sealed_secret, context)).toThrow();
    expect(open(ringOf('api.kek'), row.sealed_secret, context)).toHaveLength(32);
  }
  const delegates = await sql<{ id: string; spki: Buffer; bytes: Buffer }>(
    `select i.id, i.spki, a.bytes from artifacts a join issuers i on a.name = 'ocsp-delegate/' || i.id`,
  );
  expect(delegates.length).toBeGreaterThan(0);
  for (const { id, spki, bytes } of delegates) {
    const issuer = { id, publicKey: readPublicKey(spki) };
    expect(() => openOcspDelegate(before.get('ocsp.kek')!, bytes, issuer)).toThrow();
    expect(openOcspDelegate(ringOf('ocsp.kek'), bytes, issuer).keyType).toBe('ec-p256');
  }
});

test('started again with the new versions alone, everything that was acknowledged is there', async () => {
  const instance = await instanceAt(ready);
  const release = await registerRelease(instance);
  const device = await registerTestDevice(instance, release);
  expect(await planes.stop()).toBe(0);
  ready = await planes.start();
  load.moveTo(ready);
  const { acknowledged, lost } = await load.findLosses();
  expect(lost).toEqual([]);
  expect(acknowledged).toBeGreaterThan(20);
  expect((await simpleEnroll(await instanceAt(ready), device, csrOf(device, newKey()))).status).toBe(200);
});
