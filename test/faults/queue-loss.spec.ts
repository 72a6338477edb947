import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createWorker, type Worker } from '#apps/worker';
import { ensureAuditKey } from '#audit';
import { readCrl, readOcspResponse } from '#pki';
import { crlName } from '#publication';
import { findArtifact, findOcspAnswer } from '#store';
import { replaceFile } from '../../apps/touchmark/src/home.js';
import { redisIsMissing, startRedis, type TestRedis } from '../harness/redis.js';
import { startInstance, type PublishingInstance } from '../publication/instance.js';

const REVOCATIONS = 60;
/** The queue is lost after so many, and again. */
const BETWEEN_LOSSES = 12;
const LIMIT_MS = 60_000;
const AUDIT_KEK = Buffer.alloc(32, 7);

const missing = redisIsMissing();
if (missing !== undefined) process.stderr.write(`SKIPPED the loss of queues on Redis: ${missing}\n`);

describe.each(missing === undefined ? ['postgres', 'redis'] : ['postgres'])('a queue on %s', (backend) => {
  let instance: PublishingInstance;
  let worker: Worker | undefined;
  let redis: TestRedis | undefined;

  beforeAll(async () => {
    instance = await startInstance({ shards: 2 });
    await instance.owner.transaction((tx) => ensureAuditKey(tx, instance.authority.authorityId, AUDIT_KEK));
    if (backend === 'redis') redis = await startRedis();
    worker = await createWorker({
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
    await worker.start();
  });
  afterAll(async () => {
    await worker?.stop();
    await redis?.stop();
    await instance.close();
  });

  const tables = async (): Promise<string[]> =>
    (
      await instance.owner.rows<{ name: string }>(
        `select quote_ident(c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'bull' and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'migration'`,
      )
    ).map(({ name }) => `bull.${name}`);

  async function loseQueue(): Promise<void> {
    if (redis !== undefined) redis.cli('flushall');
    else await instance.databases.worker.rows(`truncate ${(await tables()).join(', ')} cascade`);
  }

  async function schedules(): Promise<number> {
    if (redis !== undefined) {
      const queues = ['touchmark-publication', 'touchmark-upkeep'];
      return queues.reduce((sum, name) => sum + Number(redis?.cli('zcard', `bull:${name}:repeat`)), 0);
    }
    const [row] = await instance.databases.worker.rows<{ n: number }>(`select count(*)::int as n from bull.scheduler`);
    return row!.n;
  }

  /** What is in no CRL, or has no answer that says so. */
  async function unpublished(serials: readonly string[]): Promise<string[]> {
    const crl = await instance.owner.transaction((tx) => findArtifact(tx, crlName(instance.issuing.id, 'full')));
    const list = crl && readCrl(crl.bytes);
    const open: string[] = [];
    for (const serial of serials) {
      const stored = await instance.owner.transaction((tx) => findOcspAnswer(tx, Buffer.from(serial, 'hex'), 'sha256'));
      const said = stored && readOcspResponse(stored.der).responses[0]?.status.status;
      if (list?.find(serial) === undefined || said !== 'revoked') open.push(serial);
    }
    return open;
  }

  async function within(ms: number, check: () => Promise<boolean>): Promise<number> {
    const begin = performance.now();
    while (!(await check())) {
      if (performance.now() - begin > ms) throw new Error(`not within ${ms} ms`);
      await delay(100);
    }
    return performance.now() - begin;
  }

  test('that is wiped in the middle of revocations delays them, and nothing is lost', async () => {
    const before = await schedules();
    expect(before).toBeGreaterThan(5);
    const serials = await Promise.all(Array.from({ length: REVOCATIONS }, () => instance.issue()));
    for (const [n, serial] of serials.entries()) {
      await instance.change(serial, 'revoked', 'superseded');
      // Long enough for the relay to have carried some, short enough that their jobs wait.
      if (n % BETWEEN_LOSSES === BETWEEN_LOSSES - 1) {
        await delay(100);
        await loseQueue();
      }
    }
    const open = (await unpublished(serials)).length;
    const ms = await within(LIMIT_MS, async () => (await unpublished(serials)).length === 0);
    await within(LIMIT_MS, async () => {
      const [row] = await instance.owner.rows<{ n: number }>(
        'select count(*)::int as n from outbox where done_at is null',
      );
      return row?.n === 0;
    });
    await within(LIMIT_MS, async () => (await schedules()) === before);
    process.stdout.write(
      `queue on ${backend} lost: ${open} of ${REVOCATIONS} waited, published after ${Math.round(ms)} ms\n`,
    );
    expect(open).toBeGreaterThan(0);
  }, 200_000);
});
