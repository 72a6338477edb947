import { createHmac, createSecretKey } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  appendStatusChanges,
  latestStatus,
  latestStatuses,
  readLogHead,
  readStatusChanges,
  statusHistory,
  takeFromOutbox,
  type StatusChange,
  type StatusRow,
} from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';

let db: TestDatabase;
const KEY = Buffer.alloc(32, 7);
const macKey = createSecretKey(KEY);
beforeAll(async () => {
  db = await startTestDatabase({ upTo: 'schema' });
});
afterAll(() => db.stop());

const ISSUER = '01900000-0000-7000-8000-00000000000a';
const AT = new Date('2026-03-01T12:00:00.123Z');

function change(subject: string, rest: Partial<StatusChange> = {}): StatusChange {
  return {
    kind: 'device',
    subject,
    status: 'revoked',
    reason: null,
    at: AT,
    invalidityDate: null,
    endsAt: null,
    issuerId: null,
    shard: null,
    notAfter: null,
    ...rest,
  };
}

/** What the MAC covers, written down a second time: HMAC-SHA-256 over label, previous MAC, and sorted name and value pairs. */
function expectedMac(previous: Buffer, row: StatusRow): Buffer {
  const fields: Record<string, string> = {
    at: row.at.toISOString(),
    endsAt: row.endsAt?.toISOString() ?? '',
    invalidityDate: row.invalidityDate?.toISOString() ?? '',
    issuerId: row.issuerId ?? '',
    kind: row.kind,
    notAfter: row.notAfter?.toISOString() ?? '',
    reason: row.reason ?? '',
    seq: String(row.seq),
    shard: row.shard === null ? '' : String(row.shard),
    status: row.status,
    subject: row.subject,
  };
  const hmac = createHmac('sha256', KEY).update('touchmark:chn:1').update(previous);
  for (const [name, value] of Object.entries(fields)) {
    for (const part of [name, value]) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(Buffer.byteLength(part));
      hmac.update(length).update(part);
    }
  }
  return hmac.digest();
}

const all = async (): Promise<StatusRow[]> =>
  (await db.as('worker')).transaction((tx) => readStatusChanges(tx, 0, 100_000));

function expectChain(rows: StatusRow[]): Buffer {
  let mac: Buffer = Buffer.alloc(32);
  rows.forEach((row, index) => {
    if (row.seq !== index + 1) throw new Error(`row ${index + 1} has number ${row.seq}`);
    mac = expectedMac(mac, row);
    if (!mac.equals(row.mac)) throw new Error(`the MAC of row ${row.seq} does not continue the chain`);
  });
  return mac;
}

test('16 parallel writers of 2,000 rows leave no gap, no repeat, and one chain that the counter ends', async () => {
  const api = await db.as('api');
  const worker = await db.as('worker');
  const writers = Array.from({ length: 16 }, async (_, writer) => {
    const database = writer % 2 === 0 ? api : worker;
    for (let i = 0; i < 25; i++) {
      const rows = Array.from({ length: 5 }, (_unused, n) => change(`w${writer}-${i}-${n}`));
      const seq = await database.transaction(async (tx) => {
        await tx.rows(`select pg_sleep(random() * 0.002)`);
        return appendStatusChanges(tx, macKey, rows);
      });
      expect(seq).toBeGreaterThan(0);
    }
  });
  await Promise.all(writers);
  const rows = await all();
  expect(rows).toHaveLength(2000);
  const mac = expectChain(rows);
  expect(await worker.transaction(readLogHead)).toEqual({ seq: 2000, mac });
  // The rows of one block stand together, in their order.
  for (let i = 0; i < 2000; i += 5) {
    const block = rows.slice(i, i + 5).map((row) => row.subject);
    const prefix = block[0]!.slice(0, -1);
    expect(block).toEqual([0, 1, 2, 3, 4].map((n) => `${prefix}${n}`));
  }
});

test('a transaction that is rolled back leaves no gap and no outbox row', async () => {
  const worker = await db.as('worker');
  const before = await worker.transaction(readLogHead);
  const [outbox] = await db.sql<{ n: number }>(`select count(*)::int as n from outbox`);
  const attempt = worker.transaction(async (tx) => {
    await appendStatusChanges(tx, macKey, [
      change('0a', { kind: 'certificate', issuerId: ISSUER, shard: 0, notAfter: AT }),
    ]);
    throw new Error('changed its mind');
  });
  await expect(attempt).rejects.toThrow();
  expect(await worker.transaction(readLogHead)).toEqual(before);
  const next = await worker.transaction((tx) => appendStatusChanges(tx, macKey, [change('after')]));
  expect(next).toBe(before.seq + 1);
  expect(await db.sql(`select count(*)::int as n from outbox`)).toEqual([outbox]);
  expectChain(await all());
});

test('every field of a row comes back as it was covered by the MAC', async () => {
  const worker = await db.as('worker');
  const full = change('0b', {
    kind: 'certificate',
    status: 'revoked',
    reason: 'keyCompromise',
    invalidityDate: new Date('2026-02-01T00:00:00.001Z'),
    endsAt: new Date('2026-04-01T00:00:00.999Z'),
    issuerId: ISSUER,
    shard: 4095,
    notAfter: new Date('2026-05-01T00:00:00Z'),
  });
  const odd = change('"quoted", \\ and \u{1f512}\n', { reason: "';--" });
  const seq = await worker.transaction((tx) => appendStatusChanges(tx, macKey, [full, odd]));
  const rows = await worker.transaction((tx) => readStatusChanges(tx, seq - 2, 10));
  expect(rows).toMatchObject([full, odd]);
  expectChain(await all());
});

test.each([0, 1001])('a block of %i rows is refused', async (size) => {
  const rows = Array.from({ length: size }, (_, n) => change(`x${n}`));
  const attempt = (await db.as('worker')).transaction((tx) => appendStatusChanges(tx, macKey, rows));
  await expect(attempt).rejects.toMatchObject({ kind: 'internal' });
});

test('the newest row about a subject is its status; its history is all of them', async () => {
  const worker = await db.as('worker');
  const subject = '0c';
  for (const status of ['onHold', 'active', 'revoked']) {
    await worker.transaction((tx) =>
      appendStatusChanges(tx, macKey, [change(subject, { kind: 'certificate', status })]),
    );
    await worker.transaction((tx) =>
      appendStatusChanges(tx, macKey, [change(subject, { kind: 'device', status: 'suspended' })]),
    );
  }
  await worker.transaction(async (tx) => {
    expect(await latestStatus(tx, 'certificate', subject)).toMatchObject({ status: 'revoked' });
    expect((await statusHistory(tx, 'certificate', subject)).map((row) => row.status)).toEqual([
      'onHold',
      'active',
      'revoked',
    ]);
    const both = await latestStatuses(tx, 'certificate', [subject, '0b', 'nobody']);
    expect([...both].map(([name, row]) => [name, row.status]).sort()).toEqual([
      ['0b', 'revoked'],
      [subject, 'revoked'],
    ]);
    expect(await latestStatus(tx, 'key', subject)).toBeUndefined();
  });
});

describe('what has to follow stands in the outbox with the change', () => {
  test('a CRL per issuer with the last number, an OCSP answer per certificate, nothing for the rest', async () => {
    await db.sql(`delete from outbox`);
    const worker = await db.as('worker');
    const of = (subject: string) => change(subject, { kind: 'certificate', issuerId: ISSUER, shard: 0, notAfter: AT });
    const seq = await worker.transaction((tx) =>
      appendStatusChanges(tx, macKey, [of('d1'), change('device'), of('d2')]),
    );
    const rows = await worker.transaction((tx) => takeFromOutbox(tx, 100, 30));
    expect(
      rows
        .map(({ topic, subject, seq: upTo }) => ({ topic, subject, seq: upTo }))
        .sort((a, b) => a.subject.localeCompare(b.subject)),
    ).toEqual([
      { topic: 'crl.wanted', subject: ISSUER, seq },
      { topic: 'ocsp.wanted', subject: 'd1', seq: seq - 2 },
      { topic: 'ocsp.wanted', subject: 'd2', seq },
    ]);
  });
});
