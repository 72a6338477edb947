import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { startTestInstance, type TestInstance } from '../harness/instance.js';
import { describeWith, run } from './program.js';
import { freePort } from './server.js';
import { judge, readWalk } from './walk.js';

describeWith(['curl', 'openssl', 'sh'], 'the walk-through of the README', () => {
  let instance: TestInstance;
  let readme: string;
  let env: Record<string, string>;

  beforeAll(async () => {
    instance = await startTestInstance();
    readme = await readFile('README.md', 'utf8');
    const ready = {
      pid: process.pid,
      ...instance.urls,
      root: path.join(instance.home, 'root-ca.pem'),
      operatorToken: path.join(instance.home, 'operator.token'),
    };
    await writeFile(path.join(instance.home, 'ready.json'), `${JSON.stringify(ready, null, 2)}\n`);
    env = { TOUCHMARK_HOME: instance.home, PORT: String(await freePort()), TMPDIR: instance.home };
  });
  afterAll(async () => {
    await instance?.stop();
    if (instance) await rm(instance.home, { recursive: true, force: true });
  });

  test('every block does what the README says it prints', async () => {
    const walk = readWalk(readme, 'walk-through');
    expect(walk.expected.length).toBeGreaterThan(30);
    const ended = await run('sh', ['-u'], { input: walk.script, env, timeoutMs: 100_000 });
    for (const { expected, printed } of judge(walk, ended)) expect(printed).toContain(expected);
    expect(ended.status).toBe(0);
  });

  describeWith(['pki'], 'strongSwan part', () => {
    test('does what the README says after steps 1 and 2', async () => {
      const before = readWalk(
        readme.replace(/\*\*3\. [^]*?<!-- end of walk-through -->/, '<!-- end of walk-through -->'),
        'walk-through',
      );
      const walk = readWalk(readme, 'strongswan', before);
      const ended = await run('sh', ['-u'], { input: walk.script, env, timeoutMs: 100_000 });
      for (const { expected, printed } of judge(walk, ended)) expect(printed).toContain(expected);
      expect(ended.status).toBe(0);
    });
  });
});
