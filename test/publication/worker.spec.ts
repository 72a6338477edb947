import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createWorker, type Worker } from '#apps/worker';
import { ensureAuditKey } from '#audit';
import { replaceFile } from '../../apps/touchmark/src/home.js';
import { systemClock } from '#kernel';
import { readCrl, readOcspResponse } from '#pki';
import { crlName, crlScopes, publishNeededCrls, publishOcspAnswer } from '#publication';
import { findArtifact, findOcspAnswer } from '#store';
import { redisIsMissing, startRedis, type TestRedis } from '../harness/redis.js';
import { startInstance, type PublishingInstance } from './instance.js';

const DEADLINE_MS = 20_000;

async function eventually(what: string, check: () => Promise<boolean>, limit = DEADLINE_MS): Promise<number> {
  const begin = systemClock.monotonicMs();
  while (!(await check())) {
    if (systemClock.monotonicMs() - begin > limit) throw new Error(`not within ${limit} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return systemClock.monotonicMs() - begin;
}

const missing = redisIsMissing();
if (missing !== undefined) process.stderr.write(`SKIPPED the worker with its queues on redis: ${missing}\n`);

const AUDIT_KEK = Buffer.alloc(32, 7);

describe.each(missing === undefined ? ['postgres', 'redis'] : ['postgres'])(
  'the worker with its queues on %s',
  (backend) => {
    let instance: PublishingInstance;
    let worker: Worker | undefined;
    let redis: TestRedis | undefined;
    let startMs = 0;

    const start = async (): Promise<Worker> => {
      const made = await createWorker({
        config: {
          lifetimes: instance.lifetimes,
          redisUrl: redis?.url,
          home: instance.home,
          audit: { witnesses: [], sealMs: 1000 },
        },
        authority: instance.authority,
        database: instance.databases.worker,
        follower: instance.publisher.follower,
        connection: instance.connection('worker'),
        ocspKek: instance.ocspKek,
        auditKek: AUDIT_KEK,
        replaceFile,
      });
      await made.start();
      return made;
    };

    beforeAll(async () => {
      instance = await startInstance({ shards: 2 });
      await instance.owner.transaction((tx) => ensureAuditKey(tx, instance.authority.authorityId, AUDIT_KEK));
      if (backend === 'redis') redis = await startRedis();
      const begin = systemClock.monotonicMs();
      worker = await start();
      startMs = systemClock.monotonicMs() - begin;
    });
    afterAll(async () => {
      await worker?.stop();
      await redis?.stop();
      await instance.close();
    });

    const artifact = async (name: string) => instance.owner.transaction((tx) => findArtifact(tx, name));
    const inCrl = async (serial: string): Promise<boolean> => {
      const crl = await artifact(crlName(instance.issuing.id, 'full'));
      return crl !== undefined && readCrl(crl.bytes).find(serial) !== undefined;
    };
    const answered = async (serial: string): Promise<string | undefined> => {
      const stored = await instance.owner.transaction((tx) => findOcspAnswer(tx, Buffer.from(serial, 'hex'), 'sha256'));
      return stored && readOcspResponse(stored.der).responses[0]?.status.status;
    };
    const openRows = async (): Promise<number> =>
      (await instance.owner.rows<{ n: number }>('select count(*)::int as n from outbox where done_at is null'))[0]?.n ??
      -1;

    test('has every CRL and delegate published when start returns, and is ready', async () => {
      for (const issuer of [instance.root, instance.issuing]) {
        expect(await artifact(`ocsp-delegate/${issuer.id}`)).toBeDefined();
        for (const scope of crlScopes(issuer)) expect(await artifact(crlName(issuer.id, scope))).toBeDefined();
      }
      expect(worker?.ready()).toEqual([]);
      expect(startMs).toBeLessThan(15_000);
    });

    test('carries a revocation into CRL, shard and OCSP within 5 s, and closes the outbox', async () => {
      const serial = await instance.issue();
      const seq = await instance.change(serial, 'revoked', 'keyCompromise');
      const ms = await eventually(
        'the revocation is published',
        async () => (await inCrl(serial)) && (await answered(serial)) === 'revoked',
      );
      expect(ms).toBeLessThan(5000);
      await eventually('the outbox is empty', async () => (await openRows()) === 0);
      const shard = Number.parseInt(serial.slice(2, 6), 16) % 2;
      expect((await artifact(crlName(instance.issuing.id, shard)))?.seq).toBeGreaterThanOrEqual(seq);
    });

    test('gathers changes: 40 revocations at once make few CRLs, and none is left out', async () => {
      const before = (await artifact(crlName(instance.issuing.id, 'full')))?.number ?? 0;
      const serials = await Promise.all(Array.from({ length: 40 }, () => instance.issue()));
      for (const serial of serials) await instance.change(serial, 'revoked', 'superseded');
      await eventually('the outbox is empty', async () => (await openRows()) === 0);
      for (const serial of serials) expect([await inCrl(serial), await answered(serial)]).toEqual([true, 'revoked']);
      const after = (await artifact(crlName(instance.issuing.id, 'full')))?.number ?? 0;
      expect(after - before).toBeLessThan(10);
    });

    test('a job run three times changes nothing', async () => {
      const serial = await instance.issue();
      await instance.change(serial, 'revoked', 'superseded');
      await eventually('the outbox is empty', async () => (await openRows()) === 0);
      const state = async (): Promise<unknown> =>
        instance.owner.rows(`select name, number, seq, sha256 from artifacts union all
        select encode(serial, 'hex') || hash, 0, seq, sha256(der) from ocsp_answers order by 1`);
      const before = await state();
      for (let round = 0; round < 3; round++) {
        expect(await publishNeededCrls(instance.publisher, instance.issuing)).toBe(0);
        expect(await publishOcspAnswer(instance.publisher, [instance.issuing], serial)).toBe('current');
      }
      expect(await state()).toEqual(before);
    });

    test('jobs lost with the whole queue come back from the outbox, and the schedules too', async () => {
      const schedules = async (): Promise<number | undefined> =>
        (await instance.databases.worker.rows<{ n: number }>(`select count(*)::int as n from bull.scheduler`))[0]?.n;
      const before = redis === undefined ? await schedules() : undefined;
      if (redis === undefined) expect(before).toBeGreaterThan(10);
      const serial = await instance.issue();
      await loseQueue();
      // Relayed half a minute ago, so the row says from its first moment on, and no job knows of it: its job was lost.
      const relayed = `update outbox set relayed_at = now() - interval '31 seconds' where done_at is null`;
      await instance.change(serial, 'revoked', 'superseded', instance.clock.now(), (tx) => tx.run(relayed));
      await eventually(
        'the revocation is published',
        async () => (await inCrl(serial)) && (await answered(serial)) === 'revoked',
        45_000,
      );
      await eventually('the outbox is empty', async () => (await openRows()) === 0, 45_000);
      if (redis === undefined) {
        await eventually('schedules are back', async () => (await schedules()) === before);
      }
    }, 120_000);

    async function loseQueue(): Promise<void> {
      if (redis !== undefined) return void redis.cli('flushall');
      const tables = await instance.owner.rows<{ name: string }>(
        `select quote_ident(c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname = 'bull' and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'migration'`,
      );
      await instance.databases.worker.rows(`truncate ${tables.map(({ name }) => `bull.${name}`).join(', ')} cascade`);
    }

    test('a second worker on the same database does no harm, and stopping takes less than 10 s', async () => {
      const second = await start();
      const serial = await instance.issue();
      await instance.change(serial, 'revoked', 'superseded');
      await eventually('the revocation is published', () => inCrl(serial));
      const begin = systemClock.monotonicMs();
      await second.stop();
      expect(systemClock.monotonicMs() - begin).toBeLessThan(10_000);
      expect(second.ready()).not.toEqual([]);
    });
  },
);
