import { expect, test } from '@jest/globals';
import { FAILPOINTS, killAtFailpoints } from './kill-at-failpoints.js';

test('SIGKILL at each named point of an enrollment: each device ends with one certificate, by the secret it holds', async () => {
  const report = await killAtFailpoints(['simpleenroll'], 1);
  process.stdout.write(`kill -9 at failpoints: ${JSON.stringify(report)}\n`);
  expect(report).toEqual({
    killed: FAILPOINTS.map((point) => `simpleenroll ${point}`),
    without: [],
    wrongKey: [],
    openIntents: 0,
    closedAfter: expect.any(Number),
    held: FAILPOINTS.length,
    unheld: [],
  });
  expect(report.closedAfter).toBeLessThanOrEqual(60);
}, 300_000);
