import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createHash, X509Certificate } from 'node:crypto';
import { systemClock } from '#kernel';
import { readCrl } from '#pki';
import { crlName, publishCrl, publishNeededCrls } from '#publication';
import { findArtifact, type Artifact } from '#store';
import { startInstance, type PublishingInstance } from '../publication/instance.js';
import { startResponder, type RunningResponder } from './exchange.js';

let instance: PublishingInstance;
let responder: RunningResponder;
beforeAll(async () => {
  instance = await startInstance({ shards: 2 });
  responder = await startResponder(instance);
});
afterAll(async () => {
  await responder.close();
  await instance.close();
});

const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();

async function servedNumber(): Promise<bigint | undefined> {
  const { status, body } = await responder.exchange('GET', `/${crlName(instance.issuing.id, 'full')}`);
  return status === 200 ? readCrl(body).number : undefined;
}

async function eventually(check: () => Promise<boolean>): Promise<void> {
  const deadline = systemClock.monotonicMs() + 5000;
  while (!(await check())) {
    if (systemClock.monotonicMs() > deadline) throw new Error('it did not happen within 5 s');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('is not ready before CRLs are published, and is then', async () => {
  const before = await responder.exchange('GET', '/readyz');
  expect(before.status).toBe(503);
  expect(before.body.toString()).toContain(`crl/${instance.root.id}.crl is not published yet`);
  expect((await responder.exchange('GET', '/healthz')).status).toBe(200);
  await publishNeededCrls(instance.publisher, instance.root);
  await publishNeededCrls(instance.publisher, instance.issuing);
  await eventually(async () => (await responder.exchange('GET', '/readyz')).status === 200);
  const after = await responder.exchange('GET', '/readyz');
  expect(JSON.parse(after.body.toString())).toEqual({ status: 'ready', reasons: [] });
});

describe('a CRL', () => {
  test('is served as DER with the headers of C20, full and by shard', async () => {
    for (const scope of ['full', 0, 1] as const) {
      const { status, headers, body } = await responder.exchange('GET', `/${crlName(instance.issuing.id, scope)}`);
      const crl = readCrl(body);
      expect([status, headers['content-type']]).toEqual([200, 'application/pkix-crl']);
      expect(headers['last-modified']).toBe(crl.thisUpdate.toUTCString());
      expect(headers.expires).toBe(crl.nextUpdate?.toUTCString());
      expect(headers['cache-control']).toBe('max-age=60, public, no-transform, must-revalidate');
      expect(headers['touchmark-seq']).toMatch(/^\d+$/);
      expect(headers.etag).toMatch(/^"[0-9a-f]{64}"$/);
      const path = `/${crlName(instance.issuing.id, scope)}`;
      const unchanged = await responder.exchange('GET', path, {
        headers: { 'If-None-Match': `W/"x", ${headers.etag}` },
      });
      expect([unchanged.status, unchanged.body.length]).toEqual([304, 0]);
      const head = await responder.exchange('HEAD', path);
      expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, String(body.length), 0]);
    }
  });

  test('is never served partially while it is replaced: every answer is one whole signed list with rising number', async () => {
    const serials = await Promise.all(Array.from({ length: 300 }, () => instance.issue()));
    for (const serial of serials) await instance.change(serial, 'revoked', 'superseded');
    let stop = false;
    const seen: bigint[] = [];
    const reader = (async () => {
      while (!stop) {
        const { status, headers, body } = await responder.exchange('GET', `/${crlName(instance.issuing.id, 'full')}`);
        expect([status, headers['content-length']]).toEqual([200, String(body.length)]);
        seen.push(readCrl(body).number ?? 0n);
      }
    })();
    let last = 0;
    for (let round = 0; round < 10; round++)
      last = (await publishCrl(instance.publisher, instance.issuing, 'full')).number;
    await eventually(async () => (await servedNumber()) === BigInt(last));
    stop = true;
    await reader;
    expect(seen).toEqual([...seen].sort((a, b) => Number(a - b)));
    expect(new Set(seen).size).toBeGreaterThan(1);
  });

  describe('whose row was altered is not taken over', () => {
    const name = (): string => crlName(instance.issuing.id, 'full');
    const alarms = (): string[] => responder.alarms.filter((line) => line.includes(name()));
    let older: Artifact;
    let held: Artifact;

    const read = async (of: string): Promise<Artifact> => {
      const artifact = await instance.owner.transaction((tx) => findArtifact(tx, of));
      if (artifact === undefined) throw new Error('nothing is published');
      return artifact;
    };
    const write = (row: Artifact): Promise<unknown> =>
      instance.databases.worker.rows(
        `update artifacts set number = $2, seq = $3, this_update = $4, next_update = $5, sha256 = $6, bytes = $7
         where name = $1`,
        [name(), row.number, row.seq, row.thisUpdate, row.nextUpdate, row.sha256, row.bytes],
      );
    const expectRefused = async (row: Artifact): Promise<void> => {
      const before = alarms().length;
      await write(row);
      await eventually(async () => alarms().length > before);
      expect(await servedNumber()).toBe(BigInt(held.number));
    };

    beforeAll(async () => {
      await publishCrl(instance.publisher, instance.issuing, 'full');
      older = await read(name());
      // The next second, so that thisUpdate differs.
      while (instance.clock.now().getTime() < older.thisUpdate.getTime() + 1000)
        await new Promise((resolve) => setTimeout(resolve, 50));
      await publishCrl(instance.publisher, instance.issuing, 'full');
      held = await read(name());
      await eventually(async () => (await servedNumber()) === BigInt(held.number));
    });
    afterEach(() => write(held));

    test('an older CRL in its own columns, and in columns that make it the newest', async () => {
      await expectRefused(older);
      await expectRefused({ ...older, number: older.number + 1000, seq: held.seq + 1000 });
      await expectRefused({ ...older, number: held.number + 1000, thisUpdate: held.thisUpdate });
    });

    test('bytes without the digest of the row, bytes that are no CRL, and a signature by nobody', async () => {
      const next = { ...held, number: held.number + 1 };
      await expectRefused({ ...next, sha256: sha256(Buffer.from('x')) });
      await expectRefused({ ...next, bytes: Buffer.from('y'), sha256: sha256(Buffer.from('y')) });
      const forged = Buffer.from(held.bytes);
      forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
      await expectRefused({ ...held, bytes: forged, sha256: sha256(forged) });
    });

    test('the CRL of a shard, however new, in the place of the full one', async () => {
      let shard = await publishCrl(instance.publisher, instance.issuing, 0);
      while (shard.number <= held.number) shard = await publishCrl(instance.publisher, instance.issuing, 0);
      await expectRefused(await read(crlName(instance.issuing.id, 0)));
    });

    test('and the next right one is', async () => {
      const { number } = await publishCrl(instance.publisher, instance.issuing, 'full');
      await eventually(async () => (await servedNumber()) === BigInt(number));
      held = await read(name());
    });
  });
});

test('CA certificates are served as PEM and DER', async () => {
  const pem = await responder.exchange('GET', '/ca/root.pem');
  expect(new X509Certificate(pem.body).raw).toEqual(instance.root.certificate);
  const issuing = await responder.exchange('GET', `/ca/${instance.issuing.id}.cer`);
  expect([issuing.headers['content-type'], issuing.body]).toEqual([
    'application/pkix-cert',
    instance.issuing.certificate,
  ]);
});

test('discovery names every URL', async () => {
  const { status, body } = await responder.exchange('GET', '/.well-known/touchmark');
  const found = JSON.parse(body.toString()) as { issuers: { id: string; crl: string }[] };
  expect(status).toBe(200);
  expect(found.issuers.map(({ id }) => id)).toEqual([instance.root.id, instance.issuing.id]);
});

test('an unknown CA, shard or path is a text 404, another method 405 with Allow (CX10)', async () => {
  for (const path of [
    '/crl/x.crl',
    `/crl/${instance.issuing.id}/7.crl`,
    `/crl/${instance.root.id}/0.crl`,
    '/ca/no.cer',
    '/',
    '/crl',
    '/%zz',
  ]) {
    const { status, headers, body } = await responder.exchange('GET', path);
    expect([path, status]).toEqual([path, path === '/%zz' ? 400 : 404]);
    expect(headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(headers['cache-control']).toBe('no-store');
    expect(body.length).toBeGreaterThan(0);
  }
  for (const path of [
    '/ca/root.pem',
    `/${crlName(instance.issuing.id, 'full')}`,
    '/healthz',
    '/readyz',
    '/.well-known/touchmark',
  ]) {
    const { status, headers } = await responder.exchange('DELETE', path);
    expect([path, status, headers.allow]).toEqual([path, 405, 'GET, HEAD']);
  }
});
