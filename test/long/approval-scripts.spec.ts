import { expect, test } from '@jest/globals';
import { playScripts } from '../authority/approval-scripts.js';

const PLAN = { scripts: 1000, seed: 7 };

test('1,000 generated scripts: no illegal transition of a proposal passes', async () => {
  const report = await playScripts(PLAN);
  process.stdout.write(`approval scripts: ${JSON.stringify(report)}\n`);
  expect(report.outcomes['approve executed']).toBeGreaterThan(100);
  expect(report.outcomes['approve samePerson']).toBeGreaterThan(10);
  expect(report.outcomes['approve proposerGone']).toBeGreaterThan(10);
});
