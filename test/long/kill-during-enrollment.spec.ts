import { expect, test } from '@jest/globals';
import { enrollUnderKills } from '../crash/enroll-under-kills.js';

const PLAN = { kills: 40, enrollments: 2000, seed: 20_261_121 };

test('SIGKILL during enrollments loses nothing: every device ends with its certificate, using only the secret it was given', async () => {
  const report = await enrollUnderKills(PLAN);
  process.stdout.write(`kill -9 during enrollment: ${JSON.stringify(report)}, seed ${PLAN.seed}\n`);
  expect(report).toEqual({
    kills: PLAN.kills,
    enrollments: PLAN.enrollments,
    held: PLAN.enrollments,
    resent: expect.any(Number),
    lost: [],
    wrongKey: [],
    duplicates: 0,
    openIntents: 0,
    signedWithoutRow: [],
  });
  // A run in which nothing was interrupted would prove nothing.
  expect(report.resent).toBeGreaterThan(0);
}, 1_800_000);
