import { afterEach, describe, expect, test } from '@jest/globals';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pino } from 'pino';
import { parsePasswd, unprivilegedAccount } from './account.js';
import { copiedBinaries, findBinaries } from './binaries.js';
import { run } from './run.js';

const log = pino({ level: 'silent' });
const asRoot = process.getuid?.() === 0;
if (!asRoot) process.stderr.write('skipped, what only root can set up: closed directories of another user\n');
const directories: string[] = [];

afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
});

describe('Postgres programs', () => {
  test('a platform without them gets one line that names DATABASE_URL', async () => {
    for (const [platform, arch] of [
      ['freebsd', 'x64'],
      ['win32', 'x64'],
      ['linux', 's390x'],
    ] as const) {
      await expect(findBinaries(undefined, log, platform, arch)).rejects.toMatchObject({
        kind: 'unavailable',
        detail: expect.stringMatching(/^Embedded Postgres cannot be used: [^\n]*Set DATABASE_URL [^\n]*$/),
      });
    }
  });

  (asRoot ? test : test.skip)(
    'below a closed directory they are copied once, readable whatever their modes were',
    async () => {
      const account = unprivilegedAccount(parsePasswd(await readFile('/etc/passwd', 'utf8')));
      if (account === undefined) throw new Error('no unprivileged account');
      const scene = await mkdtemp('/tmp/tm-bin-');
      directories.push(scene);
      await chmod(scene, 0o755);
      const installed = await findBinaries(undefined, log);
      const closedPackage = path.join(scene, 'root', 'package');
      await mkdir(closedPackage, { recursive: true, mode: 0o700 });
      await chmod(path.join(scene, 'root'), 0o700);
      const native = path.join(closedPackage, 'native');
      await cp(path.resolve(installed.pgCtl, '../..'), native, { recursive: true, verbatimSymlinks: true });
      await writeFile(path.join(closedPackage, 'package.json'), '{"version":"1.2.3"}');
      for (const name of ['bin/postgres', 'lib']) await chmod(path.join(native, name), 0o700);
      expect((await run(path.join(native, 'bin/postgres'), ['--version'], account)).status).not.toBe(0);

      const cache = path.join(scene, 'cache');
      const first = await copiedBinaries(native, account, cache, log);
      expect(first.postgres).toBe(path.join(cache, `postgres-1.2.3-${process.arch}`, 'bin', 'postgres'));
      expect((await run(first.initdb, ['--version'], account)).status).toBe(0);
      const { ino, mode, uid } = await stat(first.postgres);
      expect({ mode: mode & 0o777, uid }).toEqual({ mode: 0o755, uid: 0 });
      const second = await copiedBinaries(native, account, cache, log);
      expect((await stat(second.postgres)).ino).toBe(ino);
    },
  );
});

describe('the user Postgres runs as', () => {
  const account = (text: string) => unprivilegedAccount(parsePasswd(text))?.name;

  test('is never root: postgres, else nobody, else another that exists', () => {
    const head = 'root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n# a comment\n';
    expect(account(`${head}nobody:x:65534:65534::/:/bin/false\npostgres:x:70:70::/:/bin/sh\n`)).toBe('postgres');
    expect(account(`${head}daemon:x:1:1::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n`)).toBe('nobody');
    expect(account(`${head}app:x:1000:1000::/:/bin/sh\n`)).toBe('app');
    expect(account(head)).toBeUndefined();
  });
});
