import { createHash, createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  createOrganization,
  introspect,
  issueKey,
  recordExpirations,
  registerDevice,
  revokeKey,
  withIdempotency,
  type AuthorityContext,
  type IdempotentRequest,
} from '#authority';
import { answerKey, open, sealContext } from '#credential';
import { AuthorityError, ManualClock } from '#kernel';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeProduct, type Product } from '../harness/fixtures.js';

let db: TestDatabase;
let api: AuthorityContext;
let clock: ManualClock;
let product: Product;
beforeAll(async () => {
  clock = new ManualClock(new Date());
  db = await startTestDatabase({ clock });
  api = await db.context('api');
  product = await makeProduct(api, db.operator);
});
afterAll(() => db.stop());

let counter = 0;
const request = (rest: Partial<IdempotentRequest> = {}): IdempotentRequest => ({
  key: `idempotency-key-${++counter}`,
  route: 'POST /v1/organizations',
  body: { name: 'One', kind: 'vendor' },
  secret: false,
  ...rest,
});
const makeVendor = async (joined: AuthorityContext) => ({
  status: 201,
  body: await createOrganization(joined, db.operator, { name: 'One', kind: 'vendor' }),
});
const countOf = async (table: string) => (await db.sql<{ n: number }>(`select count(*)::int as n from ${table}`))[0]!.n;

describe('a repeated request', () => {
  test('gets the same answer, and is done once', async () => {
    const one = request();
    const first = await withIdempotency(api, db.operator, one, makeVendor);
    const before = await countOf('organizations');
    const second = await withIdempotency(api, db.operator, one, makeVendor);
    expect(first).toMatchObject({ status: 201, replayed: false });
    expect(second).toEqual({ status: 201, replayed: true, body: JSON.parse(JSON.stringify(first.body)) });
    expect(await countOf('organizations')).toBe(before);
  });

  test('by eight at once has one effect and eight equal answers', async () => {
    const one = request();
    const before = await countOf('organizations');
    let entered = 0;
    const second = Promise.withResolvers<void>();
    // The first goes on only when the others stand at its lock, or when one of them came past it.
    const work = async (joined: AuthorityContext) => {
      if (++entered > 1) second.resolve();
      else await Promise.race([db.untilWaiting(7), second.promise]);
      return makeVendor(joined);
    };
    const all = await Promise.all(Array.from({ length: 8 }, () => withIdempotency(api, db.operator, one, work)));
    expect(entered).toBe(1);
    expect(await countOf('organizations')).toBe(before + 1);
    expect(new Set(all.map((answer) => answer.body.id)).size).toBe(1);
    expect(all.filter((answer) => !answer.replayed)).toHaveLength(1);
  });

  test('with another body, or on another route, is refused', async () => {
    const one = request();
    await withIdempotency(api, db.operator, one, makeVendor);
    for (const other of [
      { ...one, body: { name: 'Two', kind: 'vendor' } },
      { ...one, route: 'POST /v1/apps' },
    ]) {
      await expect(withIdempotency(api, db.operator, other, makeVendor)).rejects.toMatchObject({
        kind: 'conflict',
        code: 'idempotencyKeyReused',
      });
    }
  });

  test('by somebody else with the same key is a request of its own', async () => {
    const one = request();
    const other = { ...db.operator, id: 'operator:other' };
    const first = await withIdempotency(api, db.operator, one, makeVendor);
    const second = await withIdempotency(api, other, one, makeVendor);
    expect(second.replayed).toBe(false);
    expect(second.body.id).not.toBe(first.body.id);
  });

  test('without a key is done each time', async () => {
    const before = await countOf('organizations');
    for (let i = 0; i < 2; i++) await withIdempotency(api, db.operator, request({ key: undefined }), makeVendor);
    expect(await countOf('organizations')).toBe(before + 2);
  });

  test.each(['short', 'x'.repeat(201), 'with space', 'with\ttab', 'ümlaut-key'])(
    'with the key %j is malformed',
    async (key) => {
      await expect(withIdempotency(api, db.operator, request({ key }), makeVendor)).rejects.toMatchObject({
        kind: 'malformed',
        member: 'Idempotency-Key',
      });
    },
  );
});

describe('a request that fails', () => {
  test('leaves nothing, and may be tried again with the same key', async () => {
    const one = request();
    const before = [await countOf('organizations'), await countOf('audit'), await countOf('idempotency')];
    const failing = async (joined: AuthorityContext) => {
      await makeVendor(joined);
      throw new AuthorityError('conflict', 'no');
    };
    await expect(withIdempotency(api, db.operator, one, failing)).rejects.toMatchObject({ detail: 'no' });
    expect([await countOf('organizations'), await countOf('audit'), await countOf('idempotency')]).toEqual(before);
    expect((await withIdempotency(api, db.operator, one, makeVendor)).replayed).toBe(false);
  });

  test('keeps the record of its refusal, though the work is undone', async () => {
    const instanceId = '0b8f9a52-6a56-4f0e-9f0b-000000000001';
    const register = (joined: AuthorityContext) =>
      registerDevice(joined, db.operator, { appId: product.appId, instanceId }).then((body) => ({ status: 201, body }));
    await register(api);
    const refusals = () => db.sql(`select 1 from audit where action = 'device.registered' and outcome = 'refused'`);
    const before = (await refusals()).length;
    await expect(withIdempotency(api, db.operator, request(), register)).rejects.toMatchObject({
      code: 'instanceIdTaken',
    });
    expect((await refusals()).length).toBe(before + 1);
  });
});

describe('a change of status', () => {
  test('is applied here before the answer leaves, and not before it is committed', async () => {
    const { row, key } = await issueKey(api, db.operator, {
      releaseId: product.releaseId,
      audience: 'all',
      environment: 'live',
    });
    let during: unknown;
    const answer = await withIdempotency(
      api,
      db.operator,
      request({ route: 'POST /v1/keys/{id}/revoke', body: row.id }),
      async (joined) => {
        const body = await revokeKey(joined, db.operator, row.id, { reason: 'superseded' });
        during = introspect(api, key, undefined);
        return { status: 200, body };
      },
    );
    expect(during).toMatchObject({ active: true });
    expect(introspect(api, key, undefined)).toMatchObject({ active: false, reason: 'revoked' });
    expect(answer.body.status).toBe('revoked');
  });
});

describe('an answer that carries a secret', () => {
  const KEY = 'a-key-that-only-the-caller-knows';
  const route = 'POST /v1/keys';
  let secretKey: string;
  const asked = request({ key: KEY, route, body: { releaseId: 'r' }, secret: true });
  const issue = async (joined: AuthorityContext) => {
    const { releaseId } = await makeProduct(joined, db.operator);
    const issued = await issueKey(joined, db.operator, { releaseId, audience: 'all', environment: 'test' });
    return { status: 201, body: { id: issued.row.id, key: issued.key } };
  };
  const bound = (key: string) => createHmac('sha256', api.pepper.key).update(`idempotency:1\n${key}`).digest('hex');
  const stored = async () =>
    (
      await db.sql<{ salt: Buffer; sealed: Buffer | null }>(
        `select salt, sealed from idempotency where key_hash = $1`,
        [createHash('sha256').update(bound(KEY)).digest()],
      )
    )[0]!;

  test('is repeated within 10 minutes', async () => {
    secretKey = (await withIdempotency(api, db.operator, asked, issue)).body.key;
    clock.advance(599_000);
    expect((await withIdempotency(api, db.operator, asked, issue)).body.key).toBe(secretKey);
  });

  test('is stored so that only the key of the request opens it', async () => {
    const { salt, sealed } = await stored();
    const context = sealContext('answer', { route });
    expect(sealed!.includes(secretKey)).toBe(false);
    expect(open(answerKey(bound(KEY), db.operator.id, salt), sealed!, context).toString()).toContain(secretKey);
    const others = [
      answerKey(bound(`${KEY}x`), db.operator.id, salt),
      answerKey(bound(KEY), 'operator:other', salt),
      // Without the pepper, as somebody with a dump who has guessed the key.
      answerKey(KEY, db.operator.id, salt),
    ];
    for (const wrong of others) {
      expect(() => open(wrong, sealed!, context)).toThrow(expect.objectContaining({ code: 'sealBroken' }));
    }
    expect(await db.dump()).not.toContain(KEY);
  });

  test('is gone after 10 minutes: the repetition conflicts and does nothing', async () => {
    clock.advance(1000);
    const before = await countOf('keys');
    await expect(withIdempotency(api, db.operator, asked, issue)).rejects.toMatchObject({
      kind: 'conflict',
      code: 'idempotencyKeyExpired',
    });
    expect(await countOf('keys')).toBe(before);
  });

  test('is dropped from the database once its time is over; that it was done stays known', async () => {
    await db.sql(`update idempotency set expires_at = now() where key_hash = $1`, [
      createHash('sha256').update(bound(KEY)).digest(),
    ]);
    await recordExpirations(await db.context('worker'));
    expect((await stored()).sealed).toBeNull();
    await expect(withIdempotency(api, db.operator, asked, issue)).rejects.toMatchObject({
      code: 'idempotencyKeyExpired',
    });
  });
});
