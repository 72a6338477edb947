import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isAlive, processIdentity } from './process-identity.js';
import { claimHome, readReady, removeReady, writeReady } from './ready.js';

let home: string;
const ready = {
  pid: process.pid,
  est: 'https://e',
  api: 'https://a',
  status: 'http://s',
  root: '/r',
  operatorToken: '/t',
};

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'tm-ready-'));
});

afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

async function endedProcess() {
  const child = spawn('/bin/sleep', ['60']);
  const identity = await processIdentity(child.pid ?? 0);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return identity;
}

describe('ready.json', () => {
  test('says what was written while the instance lives, and is gone after its end', async () => {
    const claim = await claimHome(home);
    await writeReady(home, ready);
    expect(JSON.parse(await readFile(path.join(home, 'ready.json'), 'utf8'))).toEqual(ready);
    expect(await readReady(home)).toEqual({ state: 'running', ready });
    await removeReady(home);
    await claim.release();
    expect(await readReady(home)).toEqual({ state: 'absent' });
    expect(await readdir(home)).toEqual([]);
  });

  test('of a killed instance it is stale, also when the number lives on in another process', async () => {
    const dead = await endedProcess();
    await writeFile(path.join(home, 'instance-1.pid'), JSON.stringify(dead));
    await writeReady(home, { ...ready, pid: dead.pid });
    expect((await readReady(home)).state).toBe('stale');
    await writeFile(path.join(home, 'instance-1.pid'), JSON.stringify({ pid: process.pid, started: 'another life' }));
    await writeReady(home, ready);
    expect((await readReady(home)).state).toBe('stale');
  });

  test('a damaged one is named', async () => {
    await writeFile(path.join(home, 'ready.json'), '{"pid":');
    await expect(readReady(home)).rejects.toThrow(/ready\.json cannot be read/);
  });
});

describe('claim of a home', () => {
  test('a second instance on the same home is refused while the first lives', async () => {
    const claim = await claimHome(home);
    await expect(claimHome(home)).rejects.toThrow(`already runs on ${home} (process ${process.pid})`);
    await claim.release();
    await (await claimHome(home)).release();
  });

  test('what a killed instance left is taken over and its ready.json removed', async () => {
    const dead = await endedProcess();
    expect(await isAlive(dead)).toBe(false);
    await writeFile(path.join(home, 'instance-1.pid'), JSON.stringify(dead));
    await writeReady(home, { ...ready, pid: dead.pid });
    const claim = await claimHome(home);
    expect(await readReady(home)).toEqual({ state: 'absent' });
    await claim.release();
  });

  test('of many at once over a dead claim exactly one gets it', async () => {
    for (let round = 0; round < 60; round++) {
      await writeFile(path.join(home, 'instance-1.pid'), JSON.stringify(await endedProcess()));
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => claimHome(home)));
      const claims = results.filter((result) => result.status === 'fulfilled');
      expect(claims).toHaveLength(1);
      expect(await readdir(home)).toEqual(['instance-2.pid']);
      await claims[0]?.value.release();
    }
  });
});
