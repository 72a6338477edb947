import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { proofs, renderConformance, statements } from './conformance.js';
import { read, ROOT } from './layers.js';

const DOCUMENT = 'docs/CONFORMANCE.md';
const all = statements();
const found = proofs();

test('the table of conformance is that of the tests there are', () => {
  const rendered = renderConformance(all, found);
  // How the document is written anew after a change that is meant.
  if (process.env['WRITE_CONFORMANCE'] !== undefined) writeFileSync(path.join(ROOT, DOCUMENT), rendered);
  expect(read(DOCUMENT)).toBe(rendered);
});

test('every statement is proved by a test, or an ADR says why not', () => {
  expect(all.length).toBeGreaterThan(200);
  expect(all.filter(({ id }) => !found.has(id)).map(({ id }) => id)).toEqual([]);
});
