import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestLog, type TestLog } from '../audit/test-log.js';
import { editEveryRow, moveRows, rewriteSuffix, truncate, type Tally } from '../audit/tamper.js';

const EVENTS = 10_000;

let log: TestLog;
let note: string;
const tally: Tally = { tried: {}, missed: [] };

beforeAll(async () => {
  log = await startTestLog();
  await log.write(EVENTS);
  await log.sealAll();
  note = (await log.checkpoint(EVENTS)).note;
});
afterAll(() => log.stop());

test('10,000 events: everything that a superuser does to them is noticed', async () => {
  await expect(log.verify(await log.lines(EVENTS), note)).resolves.toMatchObject({ size: EVENTS });
  await editEveryRow(log, note, EVENTS, tally);
  await moveRows(log, note, EVENTS, tally, 10);
  await truncate(log, note, EVENTS, tally, 100);
  for (const from of [0, 1, 4999, 9984, EVENTS - 1]) await rewriteSuffix(log, note, EVENTS, from, tally);
  const tried = Object.values(tally.tried).reduce((sum, n) => sum + n, 0);
  process.stdout.write(
    `tampering with ${EVENTS} events: n = ${tried}, missed ${tally.missed.length}; ${JSON.stringify(tally.tried)}\n`,
  );
  expect(tally.missed).toEqual([]);
});
