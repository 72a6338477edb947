import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { expectSound, sendMutants } from '../est/send-mutants.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';

/** Others than those of each run of the tests. */
const SEED = 'touchmark-mutants-long';
const MUTANTS = 200_000;
/** The times measured are kept, and what the valid ones among them were issued is known to the status index. */
const GROWTH_MB = 32;

let db: TestDatabase;
beforeAll(async () => {
  db = await startTestDatabase();
});
afterAll(() => db?.stop());

test(`${MUTANTS} mutated requests: each is answered, no failure of ours, none slow, and memory does not grow (Q03)`, async () => {
  const report = await sendMutants(db, SEED, MUTANTS);
  expectSound(SEED, report, GROWTH_MB);
  expect(report.wall).toHaveLength(MUTANTS);
});
