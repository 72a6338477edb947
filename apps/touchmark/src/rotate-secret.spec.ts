import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { loadConfig, type Config } from '#kernel';
import { parseVersions } from './key-versions.js';
import { listVersions, retireVersions, stageVersion, useVersion } from './rotate-secret.js';
import { openSecrets } from './secrets.js';
import { watchSecrets } from './watch-secrets.js';

let home: string;
let config: Config;
const file = (name: string) => path.join(home, 'secrets', name);

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'tm-rotate-'));
  config = loadConfig({ TOUCHMARK_HOME: home });
  openSecrets(config, ['worker']);
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

describe('versions in a secret file', () => {
  test('one line of base64 is version 1, and stays so', () => {
    const before = readFileSync(file('ca.kek'), 'utf8').trim();
    expect(listVersions(config, 'ca.kek')).toEqual({ secret: 'ca.kek', inUse: 1, next: null, old: [] });
    expect(parseVersions(before, 'f')[0]!.key.toString('base64')).toBe(before);
  });

  test('are staged, used and retired, each step once and in a file of 0600', async () => {
    expect(await stageVersion(config, 'ca.kek')).toBe(2);
    expect(await stageVersion(config, 'ca.kek')).toBe(2);
    expect(listVersions(config, 'ca.kek')).toMatchObject({ inUse: 1, next: 2, old: [] });
    expect(await useVersion(config, 'ca.kek')).toBe(2);
    expect(listVersions(config, 'ca.kek')).toMatchObject({ inUse: 2, next: null, old: [1] });
    expect(await retireVersions(config, 'ca.kek', false)).toEqual([1]);
    expect(await retireVersions(config, 'ca.kek', false)).toEqual([]);
    expect(listVersions(config, 'ca.kek')).toMatchObject({ inUse: 2, old: [] });
    expect(statSync(file('ca.kek')).mode & 0o777).toBe(0o600);
  });

  test('a version that is only handed out is not in use by retiring', async () => {
    await stageVersion(config, 'ca.kek');
    expect(await retireVersions(config, 'ca.kek', false)).toEqual([]);
    expect(listVersions(config, 'ca.kek')).toMatchObject({ inUse: 1, next: 2 });
  });

  test('an old pepper stays for a day', async () => {
    await stageVersion(config, 'pepper');
    await useVersion(config, 'pepper');
    await expect(retireVersions(config, 'pepper', false)).rejects.toMatchObject({ kind: 'conflict' });
    const yesterday = statSync(file('pepper')).mtimeMs / 1000 - 86_401;
    utimesSync(file('pepper'), yesterday, yesterday);
    expect(await retireVersions(config, 'pepper', false)).toEqual([1]);
  });

  test.each([
    ['no version', 'x:AAAA'],
    ['a short key', '1:AAAA'],
    ['a word behind that is not "next"', `1:${'A'.repeat(43)}=:soon`],
    ['nothing', ''],
  ])('a file with %s is refused in one line that names it', (_, text) => {
    expect(() => parseVersions(text, '/s/pepper')).toThrow(/^\/s\/pepper/);
  });
});

describe('a running process', () => {
  test('takes new versions in within a second or two, and keeps what it has when a file is broken', async () => {
    const secrets = openSecrets(config, ['worker']);
    const said: string[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => void said.push(line) });
    const { peppers, auditKek } = secrets.of('worker');
    const end = watchSecrets(secrets, log);
    try {
      await stageVersion(config, 'pepper');
      await until(() => peppers.byVersion.has(2));
      expect(peppers.current.version).toBe(1);
      await useVersion(config, 'pepper');
      await until(() => peppers.current.version === 2);
      writeFileSync(file('audit.kek'), 'broken', { mode: 0o600 });
      await until(() => said.join('').includes('a changed secret file cannot be used'));
      expect(auditKek.current.version).toBe(1);
      for (const { key } of peppers.byVersion.values()) expect(said.join('')).not.toContain(key.toString('base64'));
    } finally {
      end();
    }
  });
});

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 200) throw new Error('it does not come to hold');
    await delay(50);
  }
}
