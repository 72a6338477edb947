import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { findEnded, recordEnded } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await startTestDatabase();
});
afterAll(() => db.stop());

/** Certificates that ended so many days ago; their serials, in that order. */
async function ended(...days: number[]): Promise<string[]> {
  const serials = days.map((day) => `0e${String(day).padStart(4, '0')}`);
  for (const [i, day] of days.entries()) {
    const [serial, end] = [`decode('${serials[i]}', 'hex')`, `date_trunc('second', now()) - interval '${day} days'`];
    await db.tamper(`insert into serials (serial, issuer_id, shard, not_after, state)
      select ${serial}, id, 0, ${end}, 'issued' from issuers limit 1`);
    await db.tamper(`insert into certificates (serial, not_after, not_before, issuer_id, profile, profile_version, tbs, der,
        spki_sha256, subject, names, requester, mac, issuer_org_id)
      select ${serial}, ${end}, ${end} - interval '90 days', id, 'device', 1, '\\x00', '\\x00', '\\x00', '', '{}', '', '\\x00',
        (select id from organizations where kind = 'authority') from issuers limit 1`);
  }
  return serials;
}

test('what ended while nobody looked is found from the oldest on, all of it, however few at a time', async () => {
  const serials = await ended(40, 25, 24, 9, 2);
  const { database } = await db.context('worker');
  const found: string[][] = [];
  for (;;) {
    const block = await database.transaction(async (tx) => {
      const rows = await findEnded(tx, 2);
      for (const { kind, subject } of rows) await recordEnded(tx, kind, subject);
      return rows.map(({ subject }) => subject);
    });
    if (block.length === 0) break;
    found.push(block);
  }
  expect(found).toEqual([serials.slice(0, 2), serials.slice(2, 4), serials.slice(4)]);
  expect(await ended(1)).toEqual(
    await database.transaction(async (tx) => (await findEnded(tx, 2)).map((one) => one.subject)),
  );
});
