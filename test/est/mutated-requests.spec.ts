import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { expectSound, sendMutants } from './send-mutants.js';

const SEED = 'touchmark-mutants-1';
/** test/long/mutated-enrollments.spec.ts sends ten times as many, others. */
const MUTANTS = 20_000;
const GROWTH_MB = 8;

let db: TestDatabase;
beforeAll(async () => {
  db = await startTestDatabase();
});
afterAll(() => db?.stop());

test(`${MUTANTS} mutated requests: each is answered, no failure of ours, none slow, and memory does not grow (Q03)`, async () => {
  const report = await sendMutants(db, SEED, MUTANTS);
  expectSound(SEED, report, GROWTH_MB);
  expect(report.wall).toHaveLength(MUTANTS);
}, 300_000);
