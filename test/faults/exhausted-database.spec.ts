import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, rmdir, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createOrganization, issueKey, type AuthorityContext } from '#authority';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enroll, enrollRequest, makeDevice, makeProduct } from '../harness/fixtures.js';

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  est = await db.context('est');
});
afterAll(() => db.stop());

const unavailable = expect.objectContaining({ kind: 'unavailable', retryAfter: expect.any(Number) });

/** Everything but what limits have counted. */
const state = async () =>
  (await db.dump()).replace(/== touchmark\.(quota_windows|failed_attempts)\n[\s\S]*?\n(?===)/g, '');

/** Creations of each kind, each new and possible. */
async function creations(): Promise<(() => Promise<unknown>)[]> {
  const { releaseId } = await makeProduct(api, db.operator);
  const device = await makeDevice(db);
  const request = enrollRequest(device, newKey());
  return [
    () => createOrganization(api, db.operator, { name: 'x', kind: 'vendor' }),
    () => issueKey(api, db.operator, { releaseId, audience: 'all', environment: 'live' }),
    () => enroll(est, request),
  ];
}

test('a database that takes no more connections answers as one that is away, and nothing is done by half', async () => {
  const work = await creations();
  const before = await state();
  // To a role that has no place left, Postgres says the same (53300) as when all places are taken; the pools start empty.
  const roles = ['tm_api', 'tm_est', 'tm_signer'];
  for (const role of roles) await db.sql(`alter role ${role} connection limit 0`);
  await db.sql(`select pg_terminate_backend(pid) from pg_stat_activity where usename = any($1)`, [roles]);
  try {
    for (const act of work) await expect(act()).rejects.toEqual(unavailable);
    expect(await state()).toBe(before);
  } finally {
    for (const role of roles) await db.sql(`alter role ${role} connection limit -1`);
  }
  for (const act of work) await act();
});

const mount = (...args: string[]): boolean => spawnSync('mount', args).status === 0;

/** A file system of its own of 300 MiB, or undefined where we may not mount one. */
async function smallDisk(): Promise<string | undefined> {
  const directory = await mkdtemp(path.join(tmpdir(), 'touchmark-disk-'));
  if (mount('-t', 'tmpfs', '-o', 'size=300m,mode=755', 'tmpfs', directory)) return directory;
  await rmdir(directory);
  return undefined;
}

describe('a database whose disk is full', () => {
  let disk: string | undefined;
  let small: TestDatabase | undefined;
  beforeAll(async () => {
    disk = await smallDisk();
    if (disk === undefined) {
      process.stderr.write('SKIPPED a database whose disk is full: no file system may be mounted here\n');
      return;
    }
    small = await startTestDatabase({ directory: disk });
  });
  afterAll(async () => {
    await small?.stop();
    if (disk !== undefined) {
      spawnSync('umount', [disk]);
      await rmdir(disk);
    }
  });

  test('answers as one that is away; what was acknowledged is there afterwards, and nothing else', async () => {
    if (small === undefined || disk === undefined) return;
    const context = await small.context('api');
    const filler = path.join(disk, 'filler');
    const { bavail, bsize } = await statfs(disk);
    await writeFile(filler, Buffer.alloc(bavail * bsize));
    const done: string[] = [];
    const refusals: unknown[] = [];
    for (let n = 0; n < 2000 && refusals.length < 20; n++) {
      const name = `${n} ${'x'.repeat(180)}`;
      const made = await createOrganization(context, small.operator, { name, kind: 'vendor' }).catch(
        (error: unknown) => void refusals.push(error),
      );
      if (made !== undefined) done.push(made.id);
    }
    await rm(filler);
    // Where the log had no room either, Postgres has ended itself.
    await small.startServer();
    expect(refusals.length).toBe(20);
    for (const one of refusals) expect(one).toEqual(unavailable);
    const present = await small.sql<{ id: string }>(`select id from organizations where kind = 'vendor' order by id`);
    // Ids of one millisecond have no order among themselves.
    expect(present.map(({ id }) => id).sort()).toEqual([...done].sort());
    await createOrganization(context, small.operator, { name: 'after', kind: 'vendor' });
  }, 120_000);
});
