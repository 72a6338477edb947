import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { EVENT_TYPES } from '#authority';
import { ROOT } from '../architecture/layers.js';

test('docs/NOTICES.md lists every type with what it means, and no other', () => {
  const text = readFileSync(path.join(ROOT, 'docs/NOTICES.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `([a-zA-Z]+\.[a-zA-Z]+)` +\| (.*?) +\|$/gm)];
  expect(rows.map(([, type, description]) => ({ type, description }))).toEqual(EVENT_TYPES.map((one) => ({ ...one })));
});
