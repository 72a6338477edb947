import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import pg from 'pg';
import {
  BATCH,
  ED25519,
  formatCheckpoint,
  noteKey,
  openCheckpoint,
  rawPublicKey,
  sealLag,
  signNote,
  storedHashes,
  treeRoot,
} from '#audit';
import { ManualClock, systemClock } from '#kernel';
import { event, keptInMemory, startTestLog, type TestLog } from './test-log.js';

const broken = expect.objectContaining({ kind: 'internal', code: 'auditTreeBroken' });

let log: TestLog;
beforeAll(async () => {
  log = await startTestLog();
});
afterAll(() => log.stop());

const clear = () =>
  log.db.tamper(
    `truncate audit, audit_leaves, audit_tile_roots, audit_checkpoints, audit_cosignatures;
     update audit_sealer set size = 0`,
  );
beforeEach(async () => {
  await clear();
  log.memory.note = undefined;
});

const leaves = async (): Promise<string[]> =>
  (await log.db.sql<{ id: string }>(`select event_id::text as id from audit_leaves order by leaf_index`)).map(
    ({ id }) => id,
  );
const events = async (): Promise<string[]> =>
  (await log.db.sql<{ id: string }>(`select id::text as id from audit order by audit.id`)).map(({ id }) => id);
const size = async (): Promise<number> =>
  Number((await log.db.sql<{ size: string }>(`select size from audit_sealer`))[0]!.size);

describe('sealing', () => {
  test('gives every event a leaf in the order of its number, in batches of at most 256, each under a checkpoint', async () => {
    const sealer = log.makeSealer();
    await log.write(600);
    expect([await sealer.seal(), await sealer.seal(), await sealer.seal(), await sealer.seal()]).toEqual([
      BATCH,
      BATCH,
      600 - 2 * BATCH,
      0,
    ]);
    expect(await leaves()).toEqual(await events());
    const sizes = await log.db.sql<{ size: string }>(`select size from audit_checkpoints order by size`);
    expect(sizes.map((row) => Number(row.size))).toEqual([256, 512, 600]);
    for (const at of [256, 512, 600]) {
      const { note } = await log.checkpoint(at);
      expect(openCheckpoint(note, log.signing.key)).toMatchObject({ size: at });
      await log.verify(await log.lines(at), note);
    }
    expect(log.memory.note).toBe((await log.checkpoint()).note);
  });

  test('writes for each untouched event exactly the bytes that were written with it', async () => {
    await log.write(50);
    await log.sealAll(log.makeSealer());
    const rows = await log.db.sql<{ canonical: Buffer }>(`select canonical from audit order by id`);
    expect(await log.lines(50)).toEqual(rows.map(({ canonical }) => canonical));
  });

  test('needs no event: an empty log has no checkpoint and is no error', async () => {
    expect(await log.makeSealer().seal()).toBe(0);
    await expect(log.checkpoint()).rejects.toMatchObject({ kind: 'notFound' });
  });

  test('waits for the oldest transaction that runs, then takes what it wrote: nothing is lost, whatever came first', async () => {
    const sealer = log.makeSealer();
    await log.write(3);
    const slow = await late(log);
    await slow.insert();
    await log.write(4);
    // The slow one has an older transaction than the four: they wait for it.
    expect(await log.sealAll(sealer)).toBe(3);
    await slow.commit();
    expect(await log.sealAll(sealer)).toBe(5);
    expect((await leaves()).sort()).toEqual((await events()).sort());
  });

  test('finds an event whose number is below sealed ones', async () => {
    const sealer = log.makeSealer();
    const slow = await late(log);
    // A number is taken, a transaction is not: what a stopped process looks like between the two.
    const [reserved] = await log.db.sql<{ id: string }>(`select nextval(pg_get_serial_sequence('audit', 'id')) as id`);
    await log.write(5);
    expect(await log.sealAll(sealer)).toBe(5);
    await slow.insert(reserved!.id);
    await slow.commit();
    expect(await log.sealAll(sealer)).toBe(1);
    expect((await leaves()).at(-1)).toBe(reserved!.id);
    await log.verify(await log.lines(6), (await log.checkpoint()).note);
  });

  test('finds it also when its number is long settled: by the search of a start, and of each hour', async () => {
    const clock = new ManualClock(new Date());
    const sealer = log.makeSealer({ clock });
    const [first] = await log.db.sql<{ id: string }>(`select nextval(pg_get_serial_sequence('audit', 'id')) as id`);
    const [second] = await log.db.sql<{ id: string }>(`select nextval(pg_get_serial_sequence('audit', 'id')) as id`);
    for (let i = 0; i < 4; i++) {
      await log.write(1);
      await log.sealAll(sealer);
      clock.advance(11_000);
    }
    const insert = async (id: string) => {
      const slow = await late(log);
      await slow.insert(id);
      await slow.commit();
    };
    await insert(first!.id);
    expect(await log.sealAll(sealer)).toBe(0);
    clock.advance(3_600_000);
    expect(await log.sealAll(sealer)).toBe(1);
    await insert(second!.id);
    expect(await log.sealAll(log.makeSealer())).toBe(1);
    expect((await leaves()).sort()).toEqual((await events()).sort());
  });

  test('an event of a transaction that was rolled back is not there', async () => {
    const slow = await late(log);
    await slow.insert();
    await slow.rollback();
    await log.write(2);
    expect(await log.sealAll(log.makeSealer())).toBe(2);
  });

  test('by two sealers at once gives each event one leaf, and checkpoints that continue each other', async () => {
    const both = [log.makeSealer({ memory: keptInMemory() }), log.makeSealer({ memory: keptInMemory() })];
    await log.write(2000);
    const done = await Promise.all(both.map((sealer) => log.sealAll(sealer)));
    expect(done[0]! + done[1]!).toBe(2000);
    await Promise.all(both.map((sealer) => log.sealAll(sealer)));
    expect(await leaves()).toHaveLength(2000);
    expect(new Set(await leaves())).toEqual(new Set(await events()));
    await log.verify(await log.lines(2000), (await log.checkpoint(2000)).note);
  });

  test('while others write: every event is sealed once, in the end', async () => {
    const sealer = log.makeSealer();
    let writing = true;
    const writers = Promise.all(
      Array.from({ length: 4 }, async () => {
        for (let i = 0; i < 50; i++) await log.write(5);
      }),
    ).finally(() => (writing = false));
    let sealed = 0;
    while (writing) sealed += await sealer.seal();
    await writers;
    sealed += await log.sealAll(sealer);
    expect(sealed).toBe(1000);
    expect(new Set(await leaves())).toEqual(new Set(await events()));
  });

  test('tells how long the oldest event waits', async () => {
    await log.write(2, { at: new Date(systemClock.now().getTime() - 30_000) });
    const lag = await log.worker.transaction(sealLag);
    expect(lag.unsealed).toBe(2);
    expect(lag.seconds).toBeGreaterThan(29);
    await log.sealAll(log.makeSealer());
    expect(await log.worker.transaction(sealLag)).toEqual({ unsealed: 0, seconds: 0 });
  });

  test('keeps up with more than 1,000 events a second', async () => {
    const sealer = log.makeSealer();
    let perSecond = 0;
    // The best of three: other work on the machine is not the sealer's.
    for (let round = 0; round < 3 && perSecond <= 2000; round++) {
      await log.write(3000);
      const began = systemClock.monotonicMs();
      expect(await log.sealAll(sealer)).toBe(3000);
      perSecond = Math.max(perSecond, 3000 / ((systemClock.monotonicMs() - began) / 1000));
    }
    process.stdout.write(`sealing: ${Math.round(perSecond)} events/s\n`);
    expect(perSecond).toBeGreaterThan(1000);
  });
});

describe('a crash', () => {
  test('between leaves and checkpoint: the next start signs over the same leaves', async () => {
    const memory = keptInMemory();
    const dying = log.makeSealer({
      memory: { read: () => memory.read(), write: () => Promise.reject(new Error('killed')) },
    });
    await log.write(10);
    await expect(dying.seal()).rejects.toThrow();
    expect(await size()).toBe(10);
    await expect(log.checkpoint()).rejects.toMatchObject({ kind: 'notFound' });
    await log.makeSealer({ memory }).seal();
    await log.verify(await log.lines(10), (await log.checkpoint(10)).note);
  });

  test('between the file and the commit: what was signed is signed again, the same bytes', async () => {
    const memory = keptInMemory();
    const dying = log.makeSealer({
      memory: {
        read: () => memory.read(),
        write: async (note) => {
          await memory.write(note);
          throw new Error('killed');
        },
      },
    });
    await log.write(10);
    await expect(dying.seal()).rejects.toThrow();
    const signed = memory.note;
    await log.makeSealer({ memory }).seal();
    expect((await log.checkpoint()).note).toBe(signed);
  });

  test('and more events before the next start: the new checkpoint continues the one that was only in the file', async () => {
    const memory = keptInMemory();
    const dying = log.makeSealer({
      memory: {
        read: () => memory.read(),
        write: async (note) => {
          await memory.write(note);
          throw new Error('killed');
        },
      },
    });
    await log.write(10);
    await expect(dying.seal()).rejects.toThrow();
    const first = memory.note!;
    await log.write(10);
    await log.sealAll(log.makeSealer({ memory }));
    expect((await log.checkpoint()).size).toBe(20);
    await log.verify(await log.lines(10), first);
    await log.verify(await log.lines(20), memory.note!);
  });
});

describe('the sealer refuses to sign', () => {
  beforeEach(async () => {
    await log.write(700);
    await log.sealAll(log.makeSealer());
    await log.write(3);
  });

  const refuses = async () => {
    const before = log.memory.note;
    await expect(log.sealAll(log.makeSealer())).rejects.toEqual(broken);
    expect(log.memory.note).toBe(before);
    const [row] = await log.db.sql<{ n: string }>(`select max(size) as n from audit_checkpoints`);
    expect(Number(row!.n ?? 0)).toBeLessThanOrEqual(700);
  };

  test.each([
    [
      'a leaf at the right edge',
      `update audit_leaves set hash = decode(repeat('ab', 32), 'hex') where leaf_index = 690`,
    ],
    [
      'the root of a tile',
      `update audit_tile_roots set hash = decode(repeat('ab', 32), 'hex') where level = 1 and n = 1`,
    ],
    [
      'two leaves that changed places',
      `update audit_leaves set hash = (select hash from audit_leaves where leaf_index = 600) where leaf_index = 601`,
    ],
    ['a leaf that is gone', `delete from audit_leaves where leaf_index = 650`],
    ['the newest leaf that is gone', `delete from audit_leaves where leaf_index = 699`],
    ['a tile root that is gone', `delete from audit_tile_roots where level = 1 and n = 0`],
    ['a counter that was set back', `update audit_sealer set size = 650`],
    ['a counter that was set forward', `update audit_sealer set size = 800`],
    [
      'a checkpoint that another key signed',
      `update audit_checkpoints set note = translate(note, 'ABCDEFGHIJKLM', 'BCDEFGHIJKLMA') where size = 700`,
    ],
  ])('over %s', async (_, edit) => {
    await log.db.tamper(edit);
    await refuses();
  });

  test('a database that was set back below what this machine signed, however well it was done', async () => {
    await log.db.tamper(
      `delete from audit where id in (select event_id from audit_leaves where leaf_index >= 600);
       delete from audit_leaves where leaf_index >= 600; delete from audit_checkpoints where size > 512;
       update audit_sealer set size = 600; delete from audit where id not in (select event_id from audit_leaves)`,
    );
    await refuses();
    // Also once as many others have been written: the tree is no longer the one that was signed.
    await log.write(300);
    await expect(log.sealAll(log.makeSealer())).rejects.toEqual(broken);
  });

  test('checkpoints of a thief: stored ones must bear the key of this log', async () => {
    const pair = generateKeyPairSync('ed25519');
    const key = noteKey(log.signing.key.name, ED25519, rawPublicKey(pair.publicKey));
    const root = await log.worker.transaction((tx) => treeRoot(storedHashes(tx), 700));
    const note = signNote(formatCheckpoint({ origin: key.name, size: 700, root }), key, pair.privateKey);
    await log.db.tamper(`update audit_checkpoints set note = $1 where size = 700`, [note]);
    await refuses();
  });

  test('a file that holds the checkpoint of another tree', async () => {
    const root = Buffer.alloc(32, 1);
    const { key, privateKey } = log.signing;
    log.memory.note = signNote(formatCheckpoint({ origin: key.name, size: 512, root }), key, privateKey);
    await refuses();
  });
});

interface Late {
  insert(id?: string): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

/** A transaction that takes its time. */
async function late({ db }: TestLog): Promise<Late> {
  const client = new pg.Client({ ...db.superuser, options: '-c search_path=touchmark' });
  await client.connect();
  await client.query('begin');
  const end = async (verb: string) => {
    await client.query(verb);
    await client.end();
  };
  return {
    async insert(id) {
      const { at, actor, action, subject, outcome, requestId } = event(9999);
      const columns = 'at, actor, action, subject, outcome, request_id, canonical';
      const values = [at, actor, action, subject, outcome, requestId, Buffer.from('{}')];
      await client.query(
        id === undefined
          ? `insert into audit (${columns}) values ($1, $2, $3, $4, $5, $6, $7)`
          : `insert into audit (${columns}, id) overriding system value values ($1, $2, $3, $4, $5, $6, $7, ${id})`,
        values,
      );
    },
    commit: () => end('commit'),
    rollback: () => end('rollback'),
  };
}
