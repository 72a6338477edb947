import { expect, test } from '@jest/globals';
import { FAILPOINTS, killAtFailpoints } from '../crash/kill-at-failpoints.js';

const ROUNDS = 5;

test('SIGKILL at each named point of an enrollment and of a renewal, five times each, with and without a retry', async () => {
  const report = await killAtFailpoints(['simpleenroll', 'simplereenroll'], ROUNDS);
  process.stdout.write(`kill -9 at failpoints: ${JSON.stringify({ ...report, killed: report.killed.length })}\n`);
  const kills = 2 * ROUNDS * FAILPOINTS.length;
  expect(report).toEqual({
    killed: expect.any(Array),
    without: [],
    wrongKey: [],
    openIntents: 0,
    closedAfter: expect.any(Number),
    // Those that are renewed had one before.
    held: kills + kills / 2,
    unheld: [],
  });
  expect(report.killed).toHaveLength(kills);
  expect(report.closedAfter).toBeLessThanOrEqual(60);
}, 1_800_000);
