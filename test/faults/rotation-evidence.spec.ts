import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { loadConfig, type Config } from '#kernel';
import { listSecretReaders, type Database } from '#store';
import { reportSecrets } from '../../apps/touchmark/src/report-secrets.js';
import { listVersions } from '../../apps/touchmark/src/rotate-secret.js';
import { Rotation } from '../../apps/touchmark/src/rotation.js';
import { openSecrets } from '../../apps/touchmark/src/secrets.js';
import { watchSecrets } from '../../apps/touchmark/src/watch-secrets.js';
import { silent, startTestDatabase, type TestDatabase } from '../harness/database.js';

let db: TestDatabase;
let worker: Database;
let home: string;
let config: Config;
let said: string[];
const ends: (() => unknown)[] = [];
beforeAll(async () => {
  db = await startTestDatabase();
  worker = await db.as('worker');
});
afterAll(() => db.stop());
beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'tm-evidence-'));
  config = loadConfig({ TOUCHMARK_HOME: home });
  openSecrets(config, ['worker']);
  said = [];
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await db.sql('delete from secret_readers');
  rmSync(home, { recursive: true, force: true });
});

const rotation = (options: { wait?: number; force?: boolean } = {}) =>
  new Rotation(config, 'feed.kek', worker, { wait: 1, ...options, say: (text) => said.push(text) });
const versions = () => listVersions(config, 'feed.kek');

/** A process that holds the keys of a worker; `reads`: it takes changed files in. */
async function startProcess(reads: boolean): Promise<() => Promise<void>> {
  const secrets = openSecrets(config, ['worker'], { create: false });
  if (reads) ends.push(watchSecrets(secrets, silent));
  const end = await reportSecrets(worker, secrets, silent);
  ends.push(end);
  return end;
}

const unconfirmed = expect.objectContaining({ kind: 'conflict', code: 'notConfirmed' });

describe('a rotation', () => {
  test('goes on once every running process says that it has the version, and tells how many do', async () => {
    await startProcess(true);
    await startProcess(true);
    await rotation({ wait: 20 }).whole();
    expect(versions()).toMatchObject({ inUse: 2, next: null, old: [1] });
    expect(said).toContain('2 of 2 running processes have version 2');
    expect(said).toContain('2 of 2 running processes have version 2 in use');
    await rotation().retire();
    expect(versions()).toMatchObject({ inUse: 2, old: [] });
  });

  test('stops, naming it, at a process that does not read the file; nothing is sealed under what it cannot open', async () => {
    await startProcess(true);
    const end = await startProcess(false);
    await expect(rotation({ wait: 3 }).whole()).rejects.toEqual(unconfirmed);
    await expect(rotation({ wait: 0 }).whole()).rejects.toMatchObject({
      detail: expect.stringMatching(new RegExp(`pid ${process.pid} \\(tm_worker, has 1\\)`)),
    });
    expect(versions()).toMatchObject({ inUse: 1, next: 2 });
    await expect(rotation().use()).rejects.toEqual(unconfirmed);
    await expect(rotation().rewrap()).rejects.toEqual(unconfirmed);
    expect(versions()).toMatchObject({ inUse: 1, next: 2 });
    await end();
    await rotation().use();
    expect(versions()).toMatchObject({ inUse: 2, next: null });
  });

  test('does not retire what somebody still seals under, but where it is told to', async () => {
    await rotation().stage();
    await rotation().use();
    await startProcess(false);
    await rotation().stage();
    await expect(rotation().use()).rejects.toEqual(unconfirmed);
    await rotation({ force: true }).use();
    await expect(rotation().retire()).rejects.toEqual(unconfirmed);
    expect(versions()).toMatchObject({ inUse: 3, old: [1, 2] });
    await rotation({ force: true }).retire();
    expect(versions()).toMatchObject({ inUse: 3, old: [] });
  });

  test('waits for no process that ended, with or without a word', async () => {
    const end = await startProcess(false);
    await end();
    await db.sql(
      `insert into secret_readers (process, secret, role, host, pid, versions, in_use, seen_at)
       values ($1, 'feed.kek', 'tm_worker', 'killed', 1, '{1}', 1, now() - interval '31 seconds')`,
      [randomUUID()],
    );
    await rotation({ wait: 0 }).whole();
    expect(versions()).toMatchObject({ inUse: 2 });
  });

  test('is stopped by a planted row no longer than its time, and its text does nothing to a terminal', async () => {
    const responder = await db.as('responder');
    const plant = (seenAt: string) =>
      responder.rows(
        `insert into secret_readers (process, secret, host, pid, versions, in_use, seen_at)
         values ($1, 'feed.kek', $2, 1, '{1}', 1, ${seenAt})`,
        [randomUUID(), 'here\u001b[2K\rall of them have it'],
      );
    await plant('now()');
    await expect(rotation({ wait: 0 }).whole()).rejects.toMatchObject({
      detail: expect.stringContaining('here?[2K?all of them have it pid 1 (tm_responder, has 1)'),
    });
    await db.sql('delete from secret_readers');
    await plant(`now() + interval '10 years'`);
    await plant(`'infinity'`);
    await rotation({ wait: 0 }).use();
    expect(versions()).toMatchObject({ inUse: 2 });
  });

  test('runs once at a time for a key, and beside that of another', async () => {
    const other = await db.as('worker');
    const inner = await worker.exclusively(1, async () => [
      await other.exclusively(1, () => Promise.resolve('same')),
      await other.exclusively(2, () => Promise.resolve('another')),
    ]);
    expect(inner).toEqual({ done: [undefined, { done: 'another' }] });
    await expect(worker.exclusively(1, () => Promise.reject(new Error('cut off')))).rejects.toThrow();
    expect(await other.exclusively(1, () => Promise.resolve('free again'))).toEqual({ done: 'free again' });
  });
});

test('a plane says nothing for another role, and sees its own alone', async () => {
  await startProcess(false);
  const est = await db.as('est');
  const insert = (role: string) =>
    est.transaction((tx) =>
      tx.run(
        `insert into secret_readers (process, secret, role, host, pid, versions, in_use)
         values ($1, 'pepper', '${role}', 'h', 1, '{1}', 1)`,
        [randomUUID()],
      ),
    );
  await expect(insert('tm_worker')).rejects.toMatchObject({ kind: 'internal' });
  await insert('tm_est');
  const seen = await est.transaction((tx) => tx.rows<{ role: string }>('select distinct role from secret_readers'));
  expect(seen).toEqual([{ role: 'tm_est' }]);
  expect(await est.transaction((tx) => tx.run(`delete from secret_readers where role <> 'tm_est'`))).toBe(0);
  expect((await worker.single((tx) => listSecretReaders(tx, 'pepper', 30))).map(({ role }) => role).sort()).toEqual([
    'tm_est',
    'tm_worker',
  ]);
});
