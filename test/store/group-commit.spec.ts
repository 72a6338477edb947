import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AuthorityError } from '#kernel';
import { newSerial } from '#pki';
import { enrollOverEst, type Transactor } from '#authority';
import { listIssuers, recordBoundIntents, storeAllSigned, together, type BoundIntent, type Tx } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enrollRequest, makeDevice, makeProduct, type Product, type TestDevice } from '../harness/fixtures.js';
import { plantedAudit, plantIntent } from './rows.js';

let db: TestDatabase;
let product: Product;
beforeAll(async () => {
  db = await startTestDatabase();
  product = await makeProduct(await db.context('api'), db.operator);
});
afterAll(() => db.stop());

/** The database of the EST plane, and how many statements went to it. */
async function counted(): Promise<{ database: Pick<Transactor, 'single'>; statements: () => number }> {
  const est = await db.as('est');
  let statements = 0;
  return { database: { single: (work) => (statements++, est.single(work)) }, statements: () => statements };
}

/** What the device asks for with its secret; of the row only what decides. */
async function intentOf({ device, secret }: TestDevice): Promise<BoundIntent> {
  const issuer = (await (await db.as('owner')).transaction(listIssuers)).find(({ kind }) => kind === 'issuing');
  const [stored] = await db.sql<{ id: string; mac: Buffer | null }>(
    `select s.id, d.mac from enrollment_secrets s join devices d on d.id = s.device_id where d.id = $1`,
    [device.id],
  );
  expect(secret).toContain(stored?.id ?? 'none');
  const now = db.clock.now();
  const id = stored?.id ?? '';
  return {
    row: {
      serial: Buffer.from(newSerial(), 'hex'),
      issuerId: issuer?.id ?? '',
      shard: 0,
      notBefore: now,
      notAfter: new Date(now.getTime() + 86_400_000),
      profile: 'device',
      profileVersion: 1,
      published: true,
      tbs: randomBytes(32),
      spkiSha256: randomBytes(32),
      subject: 'CN=grouped',
      names: ['dns:a.example.test', 'uri:urn:x'],
      deviceId: device.id,
      appId: device.appId,
      releaseId: null,
      secretId: id,
      requestLabel: 'simpleenroll/',
      requester: `secret:${id}`,
      ownerOrgId: device.ownerOrgId,
      issuerOrgId: device.issuerOrgId,
      mac: Buffer.alloc(32, 7),
    },
    audit: plantedAudit(now),
    secret: { id, request: randomBytes(32), device: { mac: stored?.mac ?? null, nameHolders: [] } },
  };
}

const devices = (count: number): Promise<TestDevice[]> =>
  Promise.all(Array.from({ length: count }, () => makeDevice(db, product)));
const intents = async (count: number): Promise<BoundIntent[]> =>
  Promise.all((await devices(count)).map((d) => intentOf(d)));
const stored = async (intent: BoundIntent): Promise<number> =>
  (await db.sql(`select 1 from certificates where serial = $1`, [intent.row.serial])).length;

describe('what is recorded at the same time', () => {
  test('goes in one statement after the first, each with its own answer and row', async () => {
    const { database, statements } = await counted();
    const asked = await intents(6);
    const answers = await Promise.all(asked.map((intent) => together(database, recordBoundIntents, intent)));
    expect(answers).toEqual([true, true, true, true, true, true]);
    expect(statements()).toBe(2);
    for (const { row } of asked) {
      const [found] = await db.sql<{ names: string[]; tbs: Buffer; state: string; bound: Buffer }>(
        `select c.names, c.tbs, s.state, e.bound_serial as bound from certificates c join serials s using (serial)
           join enrollment_secrets e on e.id = c.secret_id where c.serial = $1`,
        [row.serial],
      );
      expect(found).toEqual({ names: row.names, tbs: row.tbs, state: 'issuing', bound: row.serial });
    }
    const done = asked.map(({ row }) => ({ ...row, der: randomBytes(40), supersedes: null }));
    const audit = plantedAudit(db.clock.now());
    const kept = await Promise.all(done.map((row) => together(database, storeAllSigned, { row, audit })));
    expect(kept).toEqual([true, true, true, true, true, true]);
    expect(statements()).toBe(4);
    expect(await Promise.all(done.map((row) => together(database, storeAllSigned, { row, audit })))).not.toContain(
      true,
    );
  });

  test('is refused one by one: a used secret, a blocked key or a changed device stops nobody else', async () => {
    const { database } = await counted();
    const [first, spent, blocked, changed, last] = (await intents(5)) as [
      BoundIntent,
      BoundIntent,
      BoundIntent,
      BoundIntent,
      BoundIntent,
    ];
    await db.sql(`update enrollment_secrets set state = 'withdrawn' where id = $1`, [spent.secret.id]);
    await db.sql(
      `insert into blocked_keys (spki_sha256, reason, source, created_at) values ($1, 'test', 'compromised', now())`,
      [blocked.row.spkiSha256],
    );
    changed.secret.device.mac = randomBytes(32);
    const all = [first, spent, blocked, changed, last];
    const answers = await Promise.all(all.map((intent) => together(database, recordBoundIntents, intent)));
    expect(answers).toEqual([true, false, false, false, true]);
    expect(await Promise.all(all.map(stored))).toEqual([1, 0, 0, 0, 1]);
  });

  test('gives a secret to one of two that want it in the same statement', async () => {
    const [device] = (await devices(1)) as [TestDevice];
    const pair = [await intentOf(device), await intentOf(device)];
    const answers = await (await db.as('est')).single((tx) => recordBoundIntents(tx, pair));
    expect(answers.filter(Boolean)).toHaveLength(1);
    expect(await Promise.all(pair.map(stored))).toEqual(answers.map(Number));
  });

  test('fails one by one: a serial that is taken already fails its own caller only', async () => {
    const { database } = await counted();
    const [first, taken, last] = (await intents(3)) as [BoundIntent, BoundIntent, BoundIntent];
    taken.row.serial = (await plantIntent(db)).serial;
    const answers = await Promise.allSettled(
      [first, taken, last].map((intent) => together(database, recordBoundIntents, intent)),
    );
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await Promise.all([first, last].map(stored))).toEqual([1, 1]);
  });

  test('fails together when the database is not there: nobody waits for it twice', async () => {
    let tries = 0;
    const database: Pick<Transactor, 'single'> = {
      single: () => (tries++, Promise.reject(new AuthorityError('unavailable', 'down'))),
    };
    const asked = await intents(5);
    const answers = await Promise.allSettled(asked.map((intent) => together(database, recordBoundIntents, intent)));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill('rejected'));
    expect(tries).toBe(2);
  });

  test('does not wait for a group that waits for a lock', async () => {
    const { database } = await counted();
    const [held, free] = (await intents(2)) as [BoundIntent, BoundIntent];
    const owner = await db.as('owner');
    let slow: Promise<boolean> | undefined;
    await owner.transaction(async (tx: Tx) => {
      await tx.run(`select 1 from devices where id = $1 for update`, [held.row.deviceId]);
      slow = together(database, recordBoundIntents, held);
      // Were it behind the other one, this would wait for the end of the transaction it is in.
      expect(await together(database, recordBoundIntents, free)).toBe(true);
    });
    expect(await slow).toBe(true);
  });
});

test('devices that enroll at once get a certificate each', async () => {
  const a = await db.context('est');
  const fleet = await devices(12);
  const outcomes = await Promise.all(fleet.map((made) => enrollOverEst(a, enrollRequest(made, newKey()))));
  expect(outcomes.map(({ state }) => state)).toEqual(Array(12).fill('issued'));
  const states = await db.sql<{ state: string }>(
    `select distinct s.state from serials s join certificates c using (serial) where c.device_id = any($1)`,
    [fleet.map(({ device }) => device.id)],
  );
  expect(states).toEqual([{ state: 'issued' }]);
});
