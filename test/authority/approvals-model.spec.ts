import { expect, test } from '@jest/globals';
import { playScripts } from './approval-scripts.js';

const PLAN = { scripts: 200, seed: 20_261_121 };

test('no generated script of people, tokens, roles, times and alterations executes what it must not', async () => {
  const report = await playScripts(PLAN);
  process.stdout.write(`approval scripts: ${JSON.stringify(report)}\n`);
  // A run that never got there would prove nothing.
  const seen = Object.keys(report.outcomes);
  for (const code of REACHED) expect(seen).toContain(`approve ${code}`);
}, 300_000);

const REACHED = [
  'executed',
  'again',
  'samePerson',
  'singleOperatorOver',
  'approverMustBePerson',
  'approvalExpired',
  'approvalDecided',
  'approvalAltered',
  'proposerGone',
  'forbidden',
  'notFound',
];
