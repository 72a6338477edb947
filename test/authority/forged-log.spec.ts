import { createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Follower } from '#status';
import { appendStatusChanges, readLogHead, swapArtifact, type StatusChange } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await startTestDatabase();
});
afterAll(() => db.stop());

function change(subject: string, rest: Partial<StatusChange> = {}): StatusChange {
  return {
    kind: 'certificate',
    subject,
    status: 'revoked',
    reason: 'superseded',
    at: db.clock.now(),
    invalidityDate: null,
    endsAt: null,
    issuerId: null,
    shard: null,
    notAfter: null,
    ...rest,
  };
}

const append = async (...changes: StatusChange[]): Promise<number> =>
  (await db.as('worker')).transaction((tx) => appendStatusChanges(tx, db.macKey, changes));

/** Each holds a connection to listen on: they are stopped after each spec. */
const followers: Follower[] = [];
afterEach(async () => {
  for (const one of followers.splice(0)) await one.stop();
});

/** Errors of a follower are kept, so that a spec can say which one came. */
async function follow(
  options: Parameters<TestDatabase['follower']>[0] = {},
): Promise<{ follower: Follower; errors: Error[] }> {
  const errors: Error[] = [];
  const follower = await db.follower({ pollMs: 5000, onError: (error) => errors.push(error), ...options });
  followers.push(follower);
  return { follower, errors };
}

/** Puts tables back as they were: what a spec did to them must not break the next. */
const TABLES = ['status_changes', 'status_counter', 'artifacts'];
async function keepTables(): Promise<() => Promise<void>> {
  for (const table of TABLES) await db.sql(`create table public.kept_${table} as select * from ${table}`);
  return async () => {
    for (const table of [...TABLES].reverse()) await db.tamper(`delete from ${table}`);
    for (const table of TABLES) {
      await db.tamper(`insert into ${table} select * from public.kept_${table}`);
      await db.sql(`drop table public.kept_${table}`);
    }
  };
}

describe('a log that somebody with the server in his hands has rewritten is not believed', () => {
  let first: number;
  let restore: () => Promise<void>;
  beforeEach(async () => {
    const last = await append(
      change('a1'),
      change('a2'),
      change('a3'),
      change('a4', { status: 'onHold' }),
      change('a5'),
    );
    first = last - 4;
    restore = await keepTables();
  });
  afterEach(() => restore());

  const forgeries: [string, (n: number) => [string, unknown[]?][]][] = [
    ['a flipped status', (n) => [[`update status_changes set status = 'active' where seq = $1`, [n + 1]]]],
    ['an edited reason', (n) => [[`update status_changes set reason = 'unspecified' where seq = $1`, [n + 1]]]],
    [
      'an edited time',
      (n) => [[`update status_changes set at = at + interval '1 millisecond' where seq = $1`, [n + 1]]],
    ],
    ['another subject', (n) => [[`update status_changes set subject = 'ff' where seq = $1`, [n + 1]]]],
    ['another kind', (n) => [[`update status_changes set kind = 'device' where seq = $1`, [n + 1]]]],
    ['another end', (n) => [[`update status_changes set ends_at = now() where seq = $1`, [n + 1]]]],
    ['a deleted row', (n) => [[`delete from status_changes where seq = $1`, [n + 1]]]],
    [
      'a deleted row, the later ones moved up',
      (n) => [
        [`delete from status_changes where seq = $1`, [n + 1]],
        [`update status_changes set seq = seq - 1 where seq > $1`, [n + 1]],
        [`update status_counter set seq = seq - 1`],
      ],
    ],
    [
      'an inserted row',
      (n) => [
        [`update status_changes set seq = -seq where seq > $1`, [n]],
        [`update status_changes set seq = 1 - seq where seq < 0`],
        [
          `insert into status_changes (seq, kind, subject, status, at, mac) select $1, 'certificate', 'a1', 'active', now(), mac from status_changes where seq = $2`,
          [n + 1, n],
        ],
        [`update status_counter set seq = seq + 1`],
      ],
    ],
    [
      'two swapped rows',
      (n) => [
        [`update status_changes set seq = -1 where seq = $1`, [n + 1]],
        [`update status_changes set seq = $1 where seq = $2`, [n + 1, n + 2]],
        [`update status_changes set seq = $1 where seq = -1`, [n + 2]],
      ],
    ],
    ['a cut tail', (n) => [[`delete from status_changes where seq > $1`, [n + 2]]]],
    [
      'a cut tail with the counter set back, its MAC left',
      (n) => [
        [`delete from status_changes where seq > $1`, [n + 2]],
        [`update status_counter set seq = $1`, [n + 2]],
      ],
    ],
    ['all rows gone', () => [[`delete from status_changes`]]],
    [
      'a made-up row at the end',
      (n) => [
        [
          `insert into status_changes (seq, kind, subject, status, at, mac) values ($1, 'certificate', 'a1', 'active', now(), $2)`,
          [n + 5, randomBytes(32)],
        ],
        [`update status_counter set seq = $1, mac = (select mac from status_changes where seq = $1)`, [n + 5]],
      ],
    ],
    ['a counter with another MAC', () => [[`update status_counter set mac = decode(repeat('11', 32), 'hex')`]]],
    ['a MAC of another length', (n) => [[`update status_changes set mac = '\\x00' where seq = $1`, [n + 1]]]],
  ];
  test.each(forgeries)('%s', async (_, statements) => {
    const untouched = await follow();
    await untouched.follower.start();
    for (const [sql, values] of statements(first)) await db.tamper(sql, values);
    const { follower, errors } = await follow();
    await expect(follower.start()).rejects.toMatchObject({
      kind: 'internal',
      code: expect.stringMatching(/^status(Mac|Gap)$/),
    });
    expect(follower.broken).toBeDefined();
    expect(errors).toHaveLength(1);
    expect(() => follower.assertFresh(60_000)).toThrow(expect.objectContaining({ kind: 'unavailable' }));
    // Nothing that the forger said got in: what was revoked by the rows before the forgery still is.
    expect(follower.index.certificate('a1')?.status).not.toBe('active');
  });

  test('a log under another key', async () => {
    const { follower } = await follow({ macKey: createSecretKey(randomBytes(32)) });
    await expect(follower.start()).rejects.toMatchObject({ code: 'statusMac' });
  });

  test('a log that was rolled back under a running follower, with a MAC that fits', async () => {
    const { follower } = await follow();
    await follower.start();
    await db.tamper(`delete from status_changes where seq > $1`, [first + 1]);
    await db.tamper(`update status_counter set seq = $1, mac = (select mac from status_changes where seq = $1)`, [
      first + 1,
    ]);
    await expect(follower.catchUp(first + 100)).rejects.toMatchObject({ code: 'statusRollback' });
    expect(follower.index.certificate('a5')?.status).toBe('revoked');
  });

  test('a log that was rolled back and has grown again, past what the follower saw', async () => {
    const { follower } = await follow();
    await follower.start();
    await db.tamper(`delete from status_changes where seq > $1`, [first + 1]);
    await db.tamper(`update status_counter set seq = $1, mac = (select mac from status_changes where seq = $1)`, [
      first + 1,
    ]);
    const last = await append(...Array.from({ length: 10 }, (_, n) => change(`b${n}`)));
    await expect(follower.catchUp(last)).rejects.toMatchObject({ code: 'statusMac' });
  });

  test('a log that was rolled back and has grown to the same number', async () => {
    const { follower } = await follow({ pollMs: 10 });
    await follower.start();
    await db.tamper(`delete from status_changes where seq > $1`, [first + 3]);
    await db.tamper(`update status_counter set seq = $1, mac = (select mac from status_changes where seq = $1)`, [
      first + 3,
    ]);
    await append(change('a5', { status: 'active', reason: null }));
    // It polls all the time, and may have seen the log while it was shorter.
    const code = expect.stringMatching(/^status(Mac|Rollback)$/);
    await expect(follower.catchUp(first + 5)).rejects.toMatchObject({ code });
    expect(follower.index.certificate('a5')?.status).toBe('revoked');
  });

  test('a log that ends below what was published already', async () => {
    const head = await (await db.as('worker')).transaction(readLogHead);
    const now = db.clock.now();
    await (
      await db.as('worker')
    ).transaction((tx) =>
      swapArtifact(
        tx,
        {
          name: 'crl/x',
          mediaType: 'x',
          number: 1,
          seq: head.seq,
          thisUpdate: now,
          nextUpdate: now,
          sha256: randomBytes(32),
          bytes: Buffer.of(1),
        },
        null,
      ),
    );
    await (await follow()).follower.start();
    await db.tamper(`delete from status_changes where seq > $1`, [first]);
    await db.tamper(`update status_counter set seq = $1, mac = (select mac from status_changes where seq = $1)`, [
      first,
    ]);
    const { follower } = await follow();
    await expect(follower.start()).rejects.toMatchObject({
      code: 'statusRollback',
      detail: expect.stringMatching(/old database restored/),
    });
  });
});
