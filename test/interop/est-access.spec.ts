import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestInstance, type TestInstance } from '../harness/instance.js';
import { describeWith, run } from './program.js';
import { judge, readWalk } from './walk.js';

describeWith(['curl', 'openssl', 'sh', 'awk'], 'the walk-throughs of docs/EST.md', () => {
  let instance: TestInstance;
  beforeAll(async () => {
    instance = await startTestInstance({ TOUCHMARK_SINGLE_OPERATOR: 'true' });
    const files = {
      root: path.join(instance.home, 'root-ca.pem'),
      operatorToken: path.join(instance.home, 'operator.token'),
    };
    await writeFile(
      path.join(instance.home, 'ready.json'),
      `${JSON.stringify({ pid: process.pid, ...instance.urls, ...files }, null, 2)}\n`,
    );
  });
  afterAll(() => instance?.stop());

  test('do what they say they print, after steps 1 and 2 of the README', async () => {
    const readme = await readFile('README.md', 'utf8');
    const start = readme.replace(/\*\*3\. [^]*?<!-- end of walk-through -->/, '<!-- end of walk-through -->');
    const walk = readWalk(await readFile('docs/EST.md', 'utf8'), 'est-access', readWalk(start, 'walk-through'));
    const env = { TOUCHMARK_HOME: instance.home, TMPDIR: instance.home };
    const ended = await run('sh', ['-u'], { input: walk.script, env, timeoutMs: 60_000 });
    for (const { expected, printed } of judge(walk, ended)) expect(printed).toContain(expected);
    expect(ended.status).toBe(0);
  });
});
