import { expect, test } from '@jest/globals';
import { killWorkerUnderLoad } from './kill-worker.js';

const PLAN = { kills: 4, perSecond: 40 };

test('a worker killed during publication leaves nothing half: CRL and OCSP always verify, and all is published within 60 s', async () => {
  const report = await killWorkerUnderLoad(PLAN);
  process.stdout.write(`kill -9 of the worker: ${JSON.stringify(report)}\n`);
  expect(report.broken).toEqual([]);
  expect(report.unpublished).toBe(0);
  expect(report.recoveryMs).toBeLessThan(60_000);
  expect(report.revocations).toBeGreaterThan(20);
  expect(report.looks).toBeGreaterThan(20);
}, 300_000);
