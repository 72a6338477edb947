import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { DatabaseFigures } from '../../apps/worker/src/database-figures.js';
import { exposeFigures } from '../../apps/worker/src/figures-metrics.js';
import { AuthorityError, ManualClock, systemClock, type Clock } from '#kernel';
import { MeasuredSigner, type Signer } from '#signing';
import { newId, type Database } from '#store';
import { silent, startTestDatabase, type TestDatabase } from '../harness/database.js';

let db: TestDatabase;
let worker: Database;

beforeAll(async () => {
  db = await startTestDatabase();
  worker = await db.as('worker');
});
afterAll(() => db.stop());

/** Wall clock of the system, durations by hand. */
class SteppedClock implements Clock {
  private readonly steps = new ManualClock(new Date(0));
  now = () => systemClock.now();
  monotonicMs = () => this.steps.monotonicMs();
  advance = (ms: number) => this.steps.advance(ms);
}

/** The database with its transactions counted. */
function counted(database: Database): { database: Database; readings: () => number } {
  let count = 0;
  const transaction: Database['transaction'] = (work, options) => {
    count += 1;
    return database.transaction(work, options);
  };
  return { database: { transaction } as Database, readings: () => count };
}

function exposed(clock: Clock) {
  const registry = new Registry();
  const { database, readings } = counted(worker);
  exposeFigures(registry, new DatabaseFigures(database, () => undefined, clock, silent), clock.now());
  const value = async (series: string): Promise<number | undefined> => {
    const line = (await registry.metrics()).split('\n').find((one) => one.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.split(' ').at(-1));
  };
  return { registry, readings, value };
}

test('twenty scrapes at once and within 5 s are one reading; later ones read anew', async () => {
  const clock = new SteppedClock();
  const { registry, readings } = exposed(clock);
  await Promise.all(Array.from({ length: 20 }, () => registry.metrics()));
  expect(readings()).toBe(1);
  clock.advance(4999);
  await registry.metrics();
  expect(readings()).toBe(1);
  clock.advance(1);
  await Promise.all([registry.metrics(), registry.metrics()]);
  expect(readings()).toBe(2);
});

test('each figure says what stands in the database', async () => {
  const clock = new SteppedClock();
  const { value } = exposed(clock);
  expect(await value('touchmark_outbox_open_rows{topic="crl.wanted"}')).toBe(0);
  await db.sql(`insert into outbox (topic, subject, seq, created_at)
    values ('crl.wanted', 'x', 1, now() - interval '90 s'), ('crl.wanted', 'y', 1, now()), ('ocsp.wanted', 'z', 1, now())`);
  const [{ id: issuer }] = (await db.sql<{ id: string }>(`select id from issuers where kind = 'issuing'`)) as [
    { id: string },
  ];
  await db.sql(
    `insert into serials (serial, issuer_id, shard, not_after, created_at)
     values ('\\x01aa', $1, 0, now() + interval '1 day', now() - interval '700 s')`,
    [issuer],
  );
  const organization = db.authorityId;
  await db.sql(
    `insert into webhooks (id, organization_id, url, events, sealed_secret) values ($1, $2, 'https://x.test', '{*}', '')`,
    [newId(systemClock), organization],
  );
  for (const [at, state] of [
    ["now() - interval '700 s'", 'pending'],
    ["now() + interval '1 hour'", 'pending'],
    ['now()', 'failed'],
  ] as const) {
    const notice = newId(systemClock);
    await db.sql(
      `insert into notices (id, organization_id, type, subject, at, event_id, payload)
       values ($1, $2, 'x', 'x', now(), (select count(*) from notices), '')`,
      [notice, organization],
    );
    await db.sql(
      `insert into deliveries (id, notice_id, organization_id, webhook_id, state, next_at)
       values ($1, $2, $3, (select id from webhooks limit 1), $4, ${at})`,
      [newId(systemClock), notice, organization, state],
    );
  }
  await db.sql(
    `insert into approvals (id, organization_id, operation, subject, proposal, proposer, proposer_person, proposed_at,
       expires_at, mac)
     values ($1, $2, 'ca.create', 'x', '{}', 'x', $2, now(), now() + interval '1 hour', '')`,
    [newId(systemClock), organization],
  );
  clock.advance(5000);
  expect(await value('touchmark_outbox_open_rows{topic="crl.wanted"}')).toBe(2);
  expect(await value('touchmark_outbox_open_rows{topic="ocsp.wanted"}')).toBe(1);
  expect(await value('touchmark_outbox_oldest_seconds{topic="crl.wanted"}')).toBeGreaterThanOrEqual(90);
  expect(await value('touchmark_intents_open')).toBe(1);
  expect(await value('touchmark_intents_oldest_seconds')).toBeGreaterThanOrEqual(700);
  expect(await value('touchmark_deliveries_due')).toBe(1);
  expect(await value('touchmark_deliveries_oldest_seconds')).toBeGreaterThanOrEqual(700);
  expect(await value('touchmark_deliveries_failed')).toBe(1);
  expect(await value('touchmark_approvals_pending')).toBe(1);
  const [{ seq }] = (await db.sql<{ seq: string }>('select seq from status_counter')) as [{ seq: string }];
  expect(await value('touchmark_status_log_seq')).toBe(Number(seq));
  expect(await value('touchmark_audit_tree_leaves')).toBe(0);
  expect(await value('touchmark_audit_seal_lag_seconds')).toBeGreaterThan(0);
  // Every event becomes a leaf: nothing waits any longer.
  await db.sql(`insert into audit_leaves select row_number() over (order by id) - 1, id, sha256(canonical) from audit`);
  clock.advance(5000);
  expect(await value('touchmark_audit_tree_leaves')).toBe(await value('touchmark_audit_events'));
  expect(await value('touchmark_audit_seal_lag_seconds')).toBe(0);
  const end = await value(`touchmark_ca_not_after_timestamp_seconds{issuer="${issuer}",kind="issuing"}`);
  expect(end).toBeGreaterThan(systemClock.now().getTime() / 1000 + db.lifetimes.issuingCa - 100);
});

test('a database that answers too late holds up no scrape: the last figures stay, and their age tells', async () => {
  const clock = new SteppedClock();
  const { value, readings } = exposed(clock);
  const before = await value('touchmark_status_log_seq');
  const owner = await db.as('owner');
  await owner.transaction(async (tx) => {
    await tx.run('lock table issuers in access exclusive mode');
    clock.advance(60_000);
    const begin = performance.now();
    expect(await value('touchmark_figures_age_seconds')).toBe(60);
    expect(performance.now() - begin).toBeLessThan(4000);
    expect(await value('touchmark_status_log_seq')).toBe(before);
    expect(readings()).toBe(2);
  });
  clock.advance(5000);
  await value('touchmark_status_log_seq');
  clock.advance(5000);
  expect(await value('touchmark_figures_age_seconds')).toBeLessThan(60);
});

test('a database that never answers, or a queue that does not, holds up no scrape either', async () => {
  const never = <T>() => new Promise<T>(() => undefined);
  const registry = new Registry();
  const gone = { transaction: never } as unknown as Database;
  exposeFigures(registry, new DatabaseFigures(gone, () => undefined, systemClock, silent), undefined);
  let begin = performance.now();
  expect(await registry.metrics()).toMatch(/^touchmark_figures_age_seconds -1$/m);
  expect(performance.now() - begin).toBeLessThan(4000);

  const other = new Registry();
  let asked = 0;
  const count = () => {
    asked += 1;
    return never<never>();
  };
  const clock = new SteppedClock();
  exposeFigures(other, new DatabaseFigures(worker, () => ({ count }), clock, silent), undefined);
  begin = performance.now();
  expect(await other.metrics()).toMatch(/^touchmark_figures_age_seconds [0-9]/m);
  expect(performance.now() - begin).toBeLessThan(3000);
  clock.advance(5000);
  await other.metrics();
  expect(asked).toBe(1);
});

test('before the first reading that succeeds the age is -1', async () => {
  const registry = new Registry();
  const failing = { transaction: () => Promise.reject(new Error('gone')) } as unknown as Database;
  exposeFigures(registry, new DatabaseFigures(failing, () => undefined, systemClock, silent), undefined);
  expect(await registry.metrics()).toMatch(/^touchmark_figures_age_seconds -1$/m);
});

test('calls to the signer are counted by purpose and outcome, and end as the signer ended them', async () => {
  const registry = new Registry();
  const failures: Error[] = [];
  const answer = Buffer.from('signature');
  const inner: Signer = {
    sign: async () => {
      for (const failure of failures) throw failure;
      return answer;
    },
    createKey: () => Promise.reject(new Error('no such thing')),
  };
  const signer = new MeasuredSigner(inner, registry, systemClock);
  const request = { purpose: 'crl' as const, keyId: 'k', subject: { artifactId: 'x' }, message: Buffer.alloc(1) };
  expect(await signer.sign(request)).toBe(answer);
  failures.push(new AuthorityError('unavailable', 'gone'));
  await expect(signer.sign(request)).rejects.toBe(failures[0]);
  await expect(signer.createKey('ec-p256')).rejects.toThrow('no such thing');
  const text = await registry.metrics();
  expect(text).toMatch(/touchmark_signer_seconds_count\{purpose="crl",outcome="ok"\} 1/);
  expect(text).toMatch(/touchmark_signer_seconds_count\{purpose="crl",outcome="unavailable"\} 1/);
  expect(text).toMatch(/touchmark_signer_seconds_count\{purpose="createKey",outcome="internal"\} 1/);
});
