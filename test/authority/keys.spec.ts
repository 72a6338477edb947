import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  createOrganization,
  introspect,
  issueKey,
  keyStatus,
  recordExpirations,
  resumeKey,
  revokeKey,
  rotateKey,
  suspendKey,
  type AuthorityContext,
  type IssuedKey,
} from '#authority';
import { derivationRoot, openBox, parseCredential } from '#credential';
import { addSeconds, ManualClock } from '#kernel';
import { keySealContext } from '#status';
import { findKey, type KeyRow } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeProduct } from '../harness/fixtures.js';

const DAY = 86_400;
const clock = new ManualClock(new Date());

/** The database has a clock of its own, which no spec moves: there the key ended an hour ago. */
const endInDatabase = (id: string) =>
  db.tamper(`update keys set expires_at = now() - interval '1 hour' where id = $1`, [id]);

let db: TestDatabase;
let api: AuthorityContext;
beforeAll(async () => {
  db = await startTestDatabase({ clock });
  api = await db.context('api');
});
afterAll(() => db.stop());

async function issue(rest: Partial<Parameters<typeof issueKey>[2]> = {}): Promise<IssuedKey> {
  const { releaseId } =
    rest.releaseId === undefined ? await makeProduct(api, db.operator) : { releaseId: rest.releaseId };
  return issueKey(api, db.operator, { audience: 'all', environment: 'live', ...rest, releaseId });
}

const check = (key: string, provider?: { id: string; country: string | null }) => introspect(api, key, provider);
const fresh = (id: string): Promise<KeyRow | undefined> =>
  api.database.transaction((tx) => findKey(tx, id), { scope: { organizationId: db.authorityId, authority: true } });
const statusOf = async (id: string) => keyStatus(api, (await fresh(id))!);

describe('an issued key', () => {
  test('is good at once, everywhere its audience reaches, until the end it was given', async () => {
    const expiresAt = addSeconds(clock.now(), 30 * DAY);
    const { key, row, seq } = await issue({ expiresAt });
    expect(key).toMatch(/^tmk1_live_[0-9A-Za-z]{14}_[0-9A-Za-z]{49}$/);
    expect(key).toContain(`_${row.id}_`);
    expect(check(key)).toEqual({
      active: true,
      id: row.id,
      token_type: 'api_key',
      status: 'active',
      client_id: row.releaseId,
      iss: db.authorityId,
      environment: 'live',
      exp: Math.floor(expiresAt.getTime() / 1000),
      seq: api.follower.index.seq,
    });
    expect(api.follower.index.seq).toBeGreaterThanOrEqual(seq);
    expect(await statusOf(row.id)).toBe('active');
  });

  test('has the prefix of its environment', async () => {
    expect((await issue({ environment: 'test' })).key).toMatch(/^tmk1_test_/);
  });

  test('seals its derivation root to the holder of the private key, in its own row', async () => {
    const { key, row } = await issue();
    const root = openBox(db.roots.privateKey, row.sealedRoot, keySealContext(row));
    expect(root).toEqual(derivationRoot(parseCredential(key)!.secret));
    expect(() =>
      openBox(db.roots.privateKey, row.sealedRoot, keySealContext({ ...row, audience: 'countries' })),
    ).toThrow();
  });

  test('is told nothing about to whoever has not the whole of it', async () => {
    const { key, row } = await issue();
    const other = (await issue()).key;
    const forged = `${key.slice(0, 25)}${other.slice(25)}`;
    for (const text of [
      '',
      'x',
      row.id,
      key.slice(0, -1),
      forged,
      other.replace(/_[0-9A-Za-z]{14}_/, `_${row.id}_`),
      `${key} `,
    ]) {
      expect(check(text)).toEqual({ active: false });
    }
  });

  test('is refused beyond the longest life, in the past, and for what does not exist', async () => {
    const { releaseId } = await makeProduct(api, db.operator);
    const refused: [Partial<Parameters<typeof issueKey>[2]>, string][] = [
      [{ expiresAt: addSeconds(clock.now(), 399 * DAY) }, 'expiresAt'],
      [{ expiresAt: clock.now() }, 'expiresAt'],
      [{ audience: { providers: ['nobody'] } }, 'audience.providers'],
      [{ audience: { providers: [db.authorityId] } }, 'audience.providers'],
      [{ issuerId: '0190a0a0-0000-7000-8000-000000000000' }, 'issuerId'],
    ];
    for (const [wish, member] of refused) {
      await expect(issue({ releaseId, ...wish })).rejects.toMatchObject({ kind: 'invalid', member });
    }
    await expect(issue({ releaseId: 'nothing' })).rejects.toMatchObject({ kind: 'invalid', member: 'releaseId' });
  });
});

describe('the audience', () => {
  test('is asked at each check, and a key outside it says so to its holder only', async () => {
    const one = await createOrganization(api, db.operator, { name: 'One', kind: 'provider', country: 'US' });
    const two = await createOrganization(api, db.operator, { name: 'Two', kind: 'provider', country: 'DE' });
    const listed = await issue({ audience: { providers: [one.id] } });
    expect(check(listed.key, one)).toMatchObject({ active: true });
    expect(check(listed.key, two)).toMatchObject({ active: false, reason: 'audience' });
    const american = await issue({ audience: { countries: ['US'] } });
    expect(check(american.key, one)).toMatchObject({ active: true });
    expect(check(american.key, two)).toMatchObject({ active: false, reason: 'audience' });
  });

  test('"all" includes a provider that came later', async () => {
    const { key } = await issue();
    const late = await createOrganization(api, db.operator, { name: 'Late', kind: 'provider', country: 'FR' });
    expect(check(key, late)).toMatchObject({ active: true });
  });
});

describe('rotation', () => {
  test('leaves both keys good during the overlap, then only the successor', async () => {
    const old = await issue({ expiresAt: addSeconds(clock.now(), 30 * DAY) });
    const next = await rotateKey(api, db.operator, old.row.id, { overlapSeconds: 3600 });
    expect(next.predecessor).toEqual({ id: old.row.id, endsAt: addSeconds(clock.now(), 3600) });
    expect(next.row).toMatchObject({ predecessorId: old.row.id, releaseId: old.row.releaseId, environment: 'live' });
    expect(check(old.key)).toMatchObject({
      active: true,
      status: 'retiring',
      exp: Math.floor(next.predecessor.endsAt.getTime() / 1000),
    });
    expect(check(next.key)).toMatchObject({ active: true, status: 'active' });
    await advance(3600_000);
    expect(check(old.key)).toMatchObject({ active: false, reason: 'expired' });
    expect(check(next.key)).toMatchObject({ active: true });
  });

  test('never lengthens the life of the old key', async () => {
    const expiresAt = addSeconds(clock.now(), 60);
    const old = await issue({ expiresAt });
    const { predecessor } = await rotateKey(api, db.operator, old.row.id, { overlapSeconds: 10 * DAY });
    expect(predecessor.endsAt).toEqual(expiresAt);
  });

  test('happens once per key', async () => {
    const old = await issue();
    await rotateKey(api, db.operator, old.row.id, { overlapSeconds: 0 });
    await expect(rotateKey(api, db.operator, old.row.id, { overlapSeconds: 60 })).rejects.toMatchObject({
      kind: 'conflict',
    });
  });

  test('by several at once makes one successor', async () => {
    const old = await issue();
    const tries = Array.from({ length: 8 }, () => rotateKey(api, db.operator, old.row.id, { overlapSeconds: 60 }));
    const results = await Promise.allSettled(tries);
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
    const [row] = await db.sql<{ n: number }>(`select count(*)::int as n from keys where predecessor_id = $1`, [
      old.row.id,
    ]);
    expect(row?.n).toBe(1);
  });
});

describe('at most two keys of a release and environment are usable', () => {
  test('the third is refused, until one ends, is revoked or has retired', async () => {
    const { releaseId } = await makeProduct(api, db.operator);
    const first = await issue({ releaseId });
    const second = await issue({ releaseId, expiresAt: addSeconds(clock.now(), 60) });
    await expect(issue({ releaseId })).rejects.toMatchObject({ kind: 'conflict' });
    await expect(rotateKey(api, db.operator, first.row.id, { overlapSeconds: 60 })).rejects.toMatchObject({
      kind: 'conflict',
    });
    await issue({ releaseId, environment: 'test' });
    await advance(60_000);
    expect(check(second.key)).toMatchObject({ active: false, reason: 'expired' });
    await issue({ releaseId });
    await revokeKey(api, db.operator, first.row.id, { reason: 'superseded' });
    await issue({ releaseId });
    await expect(issue({ releaseId })).rejects.toMatchObject({ kind: 'conflict' });
  });

  test('a suspended one keeps its place, so that it can be resumed', async () => {
    const { releaseId } = await makeProduct(api, db.operator);
    const first = await issue({ releaseId });
    await issue({ releaseId });
    await suspendKey(api, db.operator, first.row.id);
    await expect(issue({ releaseId })).rejects.toMatchObject({ kind: 'conflict' });
  });

  test('also when eight are asked for at once', async () => {
    const { releaseId } = await makeProduct(api, db.operator);
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => issue({ releaseId })));
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(2);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ kind: 'conflict' });
    }
  });
});

describe('suspension', () => {
  test('of an active key ends at the state before', async () => {
    const { key, row } = await issue();
    expect(await suspendKey(api, db.operator, row.id)).toMatchObject({ id: row.id, status: 'suspended' });
    expect(check(key)).toMatchObject({ active: false, reason: 'suspended' });
    expect(await resumeKey(api, db.operator, row.id)).toMatchObject({ status: 'active' });
    expect(check(key)).toMatchObject({ active: true, status: 'active' });
  });

  test('of a retiring key ends at retiring, and its end does not move', async () => {
    const old = await issue();
    const { predecessor } = await rotateKey(api, db.operator, old.row.id, { overlapSeconds: 3600 });
    await suspendKey(api, db.operator, old.row.id);
    expect(check(old.key)).toMatchObject({ active: false, reason: 'suspended' });
    await advance(60_000);
    expect(await resumeKey(api, db.operator, old.row.id)).toMatchObject({ status: 'retiring' });
    expect(check(old.key)).toMatchObject({
      active: true,
      status: 'retiring',
      exp: Math.floor(predecessor.endsAt.getTime() / 1000),
    });
    await suspendKey(api, db.operator, old.row.id);
    await advance(3600_000);
    expect(check(old.key)).toMatchObject({ active: false, reason: 'expired' });
    await expect(resumeKey(api, db.operator, old.row.id)).rejects.toMatchObject({ kind: 'conflict' });
  });

  test('twice answers the first receipt; resuming what is not suspended conflicts', async () => {
    const { row } = await issue();
    const first = await suspendKey(api, db.operator, row.id);
    expect((await suspendKey(api, db.operator, row.id)).seq).toBe(first.seq);
    await resumeKey(api, db.operator, row.id);
    await expect(resumeKey(api, db.operator, row.id)).rejects.toMatchObject({ kind: 'conflict' });
  });
});

describe('revocation', () => {
  test('is final, from every state', async () => {
    const states: [string, (id: string) => Promise<unknown>][] = [
      ['active', () => Promise.resolve()],
      ['suspended', (id) => suspendKey(api, db.operator, id)],
      ['retiring', (id) => rotateKey(api, db.operator, id, { overlapSeconds: 3600 })],
    ];
    for (const [, bring] of states) {
      const { key, row } = await issue();
      await bring(row.id);
      await revokeKey(api, db.operator, row.id, { reason: 'keyCompromise' });
      expect(check(key)).toMatchObject({ active: false, reason: 'revoked' });
      for (const again of [suspendKey, resumeKey]) {
        await expect(again(api, db.operator, row.id)).rejects.toMatchObject({ kind: 'conflict' });
      }
      await expect(rotateKey(api, db.operator, row.id, { overlapSeconds: 0 })).rejects.toMatchObject({
        kind: 'conflict',
      });
      expect(await statusOf(row.id)).toBe('revoked');
    }
  });

  test('again answers the same receipt, and adds nothing to the log', async () => {
    const { row } = await issue();
    const first = await revokeKey(api, db.operator, row.id, { reason: 'superseded' });
    expect(first).toMatchObject({
      id: row.id,
      status: 'revoked',
      visibleBy: { introspection: addSeconds(clock.now(), 1) },
    });
    await advance(5000);
    expect(await revokeKey(api, db.operator, row.id, { reason: 'superseded' })).toEqual(first);
    const [log] = await db.sql<{ n: number }>(`select count(*)::int as n from status_changes where subject = $1`, [
      row.id,
    ]);
    expect(log?.n).toBe(2);
  });

  test('by several at once is one change', async () => {
    const { row } = await issue();
    const receipts = await Promise.all(
      Array.from({ length: 8 }, () => revokeKey(api, db.operator, row.id, { reason: 'superseded' })),
    );
    expect(new Set(receipts.map((one) => one.seq)).size).toBe(1);
  });

  test.each(['certificateHold', 'removeFromCRL', 'whatever', ''])('for the reason %j is refused', async (reason) => {
    const { row } = await issue();
    const attempt = async () => revokeKey(api, db.operator, row.id, { reason });
    await expect(attempt()).rejects.toMatchObject({ kind: 'invalid', member: 'reason' });
  });
});

describe('the end of a key', () => {
  test('comes by time alone, at the second it was given, and is recorded once', async () => {
    const { key, row } = await issue({ expiresAt: addSeconds(clock.now(), 100) });
    await advance(99_999);
    expect(check(key)).toMatchObject({ active: true });
    await advance(1);
    expect(check(key)).toMatchObject({ active: false, reason: 'expired' });
    expect(await statusOf(row.id)).toBe('expired');
    for (const change of [suspendKey, resumeKey]) {
      await expect(change(api, db.operator, row.id)).rejects.toMatchObject({ kind: 'conflict' });
    }
    const worker = await db.context('worker');
    await endInDatabase(row.id);
    await recordExpirations(worker);
    await Promise.all([recordExpirations(worker), recordExpirations(worker)]);
    const rows = await db.sql(`select 1 from audit where action = 'key.expired' and subject = $1`, [`key:${row.id}`]);
    expect(rows).toHaveLength(1);
  });

  test('a revoked key does not expire: it stays revoked', async () => {
    const { row } = await issue({ expiresAt: addSeconds(clock.now(), 100) });
    await revokeKey(api, db.operator, row.id, { reason: 'superseded' });
    await advance(200_000);
    expect(await statusOf(row.id)).toBe('revoked');
    await endInDatabase(row.id);
    await recordExpirations(await db.context('worker'));
    expect(
      await db.sql(`select 1 from audit where action = 'key.expired' and subject = $1`, [`key:${row.id}`]),
    ).toEqual([]);
  });
});

/** Time that passes makes the follower old until its next look. */
async function advance(ms: number): Promise<void> {
  clock.advance(ms);
  for (;;) {
    try {
      return api.follower.assertFresh(1000);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
