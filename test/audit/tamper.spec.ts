import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestLog, type TestLog } from './test-log.js';
import { editEveryRow, moveRows, rewriteSuffix, truncate, type Tally } from './tamper.js';

/** The full count stands in test/long. */
const EVENTS = 600;

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

test('the log as it is verifies: what follows is noticed for what was done to it', async () => {
  await expect(log.verify(await log.lines(EVENTS), note)).resolves.toMatchObject({ size: EVENTS });
});

test('every edit of every column of every row is noticed', async () => {
  await editEveryRow(log, note, EVENTS, tally);
  expect(tally.missed).toEqual([]);
});

test('every deletion, insertion, duplicate and exchange is noticed', async () => {
  await moveRows(log, note, EVENTS, tally, 2);
  expect(tally.missed).toEqual([]);
});

test('the newest 1 to 100 entries cannot be cut off, nor replaced after a rollback', async () => {
  await truncate(log, note, EVENTS, tally, 100);
  expect(tally.missed).toEqual([]);
});

test('no rewritten history passes, whoever signs it', async () => {
  for (const from of [0, 1, 255, 256, 300, EVENTS - 1]) await rewriteSuffix(log, note, EVENTS, from, tally);
  expect(tally.missed).toEqual([]);
});

test('a rollback to an old dump is noticed: by the verifier, and by the sealer of this machine', async () => {
  await log.write(100);
  await log.sealAll();
  const newer = (await log.checkpoint(EVENTS + 100)).note;
  await log.db.tamper(
    `delete from audit where id in (select event_id from audit_leaves where leaf_index >= ${EVENTS});
     delete from audit_leaves where leaf_index >= ${EVENTS}; delete from audit_checkpoints where size > ${EVENTS};
     update audit_sealer set size = ${EVENTS}`,
  );
  // It is what once was signed, but not what was witnessed last.
  await expect(log.verify(await log.lines(EVENTS), note)).resolves.toBeDefined();
  await expect(log.verify(await log.lines(EVENTS), newer)).rejects.toMatchObject({ code: 'exportSize' });
  await log.write(100);
  await expect(log.sealAll(log.makeSealer())).rejects.toMatchObject({ code: 'auditTreeBroken' });
  await expect(log.verify(await log.lines(EVENTS + 100), newer)).rejects.toMatchObject({ kind: 'invalid' });
});

test('so many were tried', () => {
  process.stdout.write(`tampering with ${EVENTS} events: ${JSON.stringify(tally.tried)}\n`);
  expect(Object.values(tally.tried).reduce((sum, n) => sum + n, 0)).toBeGreaterThan(EVENTS * 14);
});
