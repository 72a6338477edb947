import { expect, test } from '@jest/globals';
import { restartPostgresUnderLoad } from './restart-postgres.js';

test('Postgres restarted at once under load: nothing acknowledged is lost, nobody waits long, errors are 503', async () => {
  const report = await restartPostgresUnderLoad({ restarts: 3, perSecond: 50 });
  process.stdout.write(`immediate restarts of Postgres: ${JSON.stringify(report)}\n`);
  expect(report.lost).toEqual([]);
  expect(report.strange).toEqual([]);
  expect(report.slowestMs).toBeLessThan(5000);
  expect(report.backMs).toBeLessThan(5000);
  // A run in which nothing was interrupted, or nothing was done, would prove nothing.
  expect(report.refused).toBeGreaterThan(0);
  expect(report.acknowledged).toBeGreaterThan(50);
}, 300_000);
