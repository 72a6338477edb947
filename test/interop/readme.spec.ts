import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { startTestInstance, type TestInstance } from '../harness/instance.js';
import { describeWith, run, type Ended } from './program.js';
import { freePort } from './server.js';

const MARK = '@@expectation';

interface Walk {
  script: string;
  /** What has to be printed between the mark before and the mark of the same number. */
  expected: string[];
}

/** The blocks between two comments of the README, with a mark printed where it says what is printed. */
function readWalk(readme: string, name: string, walk: Walk = { script: '', expected: [] }): Walk {
  const [, part] = new RegExp(`<!-- ${name} -->([^]*?)<!-- end of ${name} -->`).exec(readme) ?? [];
  const blocks = [...(part ?? '').matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = '']) => block);
  if (blocks.length === 0) throw new Error(`README.md has no blocks for ${name}`);
  const { expected } = walk;
  const lines = blocks
    .flatMap((block) => block.split('\n'))
    .map((line) => {
      const text = /^# prints: (.+)$/.exec(line)?.[1];
      if (text === undefined) return line;
      expected.push(text);
      return `echo '${MARK} ${expected.length - 1}'`;
    });
  return { script: `${walk.script}${lines.join('\n')}\n`, expected };
}

/** Expectations that follow each other directly are about the same output. */
function judge({ expected }: Walk, { stdout }: Ended): { expected: string; printed: string }[] {
  const text = stdout.toString();
  let printed = '';
  let from = 0;
  return expected.map((wanted, number) => {
    const mark = `${MARK} ${number}\n`;
    const at = text.indexOf(mark, from);
    if (at < 0) throw new Error(`the walk ended before "${wanted}"`);
    const since = text.slice(from, at);
    if (since !== '') printed = since;
    from = at + mark.length;
    return { expected: wanted, printed };
  });
}

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
