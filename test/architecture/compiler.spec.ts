import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { libs, ROOT } from './layers.js';

/**
 * A copy of the tree's own configuration with one tiny source in each lib: what the compiler says there it says of the tree,
 * in a tenth of the time.
 */
let copy: string;
beforeEach(() => {
  copy = mkdtempSync(path.join(tmpdir(), 'touchmark-layers-'));
  for (const file of ['tsconfig.base.json', 'package.json']) cpSync(path.join(ROOT, file), path.join(copy, file));
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  for (const lib of libs()) {
    mkdirSync(path.join(copy, 'libs', lib, 'src'), { recursive: true });
    cpSync(path.join(ROOT, 'libs', lib, 'tsconfig.json'), path.join(copy, 'libs', lib, 'tsconfig.json'));
    write(lib, 'inside.ts', `export const inside: string = '${lib}';\n`);
    write(lib, 'index.ts', `export { inside as ${lib} } from './inside.js';\n`);
  }
});
afterEach(() => rmSync(copy, { recursive: true, force: true }));

const write = (lib: string, file: string, text: string) =>
  writeFileSync(path.join(copy, 'libs', lib, 'src', file), text);

function build(lib: string): { ok: boolean; codes: string[]; output: string } {
  const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-b', `libs/${lib}`, '--pretty', 'false'], {
    cwd: copy,
    encoding: 'utf8',
  });
  return {
    ok: status === 0,
    codes: [...new Set([...stdout.matchAll(/error (TS\d+)/g)].map((match) => match[1]!))],
    output: stdout,
  };
}

describe('the compiler', () => {
  test('accepts an import of a lib below, by its name', () => {
    write('store', 'down.ts', `import { policy } from '#policy';\nexport const text = policy;\n`);
    const { ok, output } = build('store');
    expect({ ok, output }).toEqual({ ok: true, output: '' });
  });

  test.each([
    ['kernel', 'store'],
    ['policy', 'authority'],
    ['store', 'status'],
    ['authority', 'publication'],
  ])('refuses an upward import: %s of %s (TS6307)', (lower, upper) => {
    write(lower, 'up.ts', `import { ${upper} } from '#${upper}';\nexport const text = ${upper};\n`);
    const { ok, codes } = build(lower);
    expect(ok).toBe(false);
    expect(codes).toContain('TS6307');
  });

  test.each([
    ['est', 'policy'],
    ['audit', 'signing'],
    ['status', 'signing'],
  ])('refuses an import between libs of one layer: %s of %s (TS6307)', (one, other) => {
    write(one, 'beside.ts', `import { ${other} } from '#${other}';\nexport const text = ${other};\n`);
    expect(build(one).codes).toContain('TS6307');
  });

  test('refuses an upward import by a relative path too (TS6307)', () => {
    write('pki', 'up.ts', `import { inside } from '../../store/src/inside.js';\nexport const text = inside;\n`);
    expect(build('pki').codes).toContain('TS6307');
  });

  test.each(['#policy/inside', '#policy/src/inside.js'])('refuses a deep import: %s (TS2307)', (specifier) => {
    write('store', 'deep.ts', `import { inside } from '${specifier}';\nexport const text = inside;\n`);
    expect(build('store').codes).toContain('TS2307');
  });

  test('refuses a cycle (TS6202)', () => {
    const file = path.join(copy, 'libs/kernel/tsconfig.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as { references: { path: string }[] };
    config.references.push({ path: '../pki' });
    writeFileSync(file, JSON.stringify(config));
    expect(build('pki').codes).toContain('TS6202');
  });
});
