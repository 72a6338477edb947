import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  approve,
  claimDomain,
  createUser,
  disableDomain,
  disableUser,
  domainStatus,
  enableDomain,
  enableUser,
  propose,
  recheckDomains,
  userStatus,
  verifyDomain,
} from '#authority';
import { addSeconds, type Clock } from '#kernel';
import { addUser, holdDomain, inStep, putProof, refusals, startNameBench, type NameBench } from './name-bench.js';

const DAY = 86_400;
let shift = 0;
const clock: Clock = { now: () => addSeconds(new Date(), shift), monotonicMs: () => performance.now() };

let bench: NameBench;
let n = 0;
const fresh = (): string => `d${++n}.example.com`;

beforeAll(async () => {
  bench = await startNameBench(clock);
});
afterAll(() => bench.stop());
beforeEach(() => {
  shift = 0;
});

const recheck = async () => {
  await inStep(bench);
  const done = await recheckDomains(bench.worker);
  await bench.api.follower.catchUp(bench.worker.follower.index.seq);
  return done;
};

describe('a domain', () => {
  test('is claimed, and counts once DNS has its own challenge (S21)', async () => {
    const { api, tenant } = bench;
    const row = await claimDomain(api, tenant.developer, { name: `UP.${fresh()}` });
    expect(row.name).toBe(row.name.toLowerCase());
    expect(domainStatus(api, row.id)).toBe('proposed');
    await expect(verifyDomain(api, tenant.developer, row.id)).rejects.toMatchObject({ code: 'domainNotProved' });
    expect((await refusals(bench, 'domain.verified')).at(-1)).toContain('has no TXT record _touchmark-challenge.');
    bench.dns.records.set(`_touchmark-challenge.${row.name}`, ['touchmark-domain=something-else']);
    await expect(verifyDomain(api, tenant.developer, row.id)).rejects.toMatchObject({ code: 'domainNotProved' });
    putProof(bench, row);
    expect(await verifyDomain(api, tenant.developer, row.id)).toMatchObject({ status: 'verified', visibleBy: {} });
    expect(domainStatus(api, row.id)).toBe('verified');
  });

  test('is not proved by the challenge of another organization', async () => {
    const { api, tenant, other } = bench;
    const name = fresh();
    const [mine, theirs] = [
      await claimDomain(api, tenant.developer, { name }),
      await claimDomain(api, other.developer, { name }),
    ];
    putProof(bench, theirs);
    await expect(verifyDomain(api, tenant.developer, mine.id)).rejects.toMatchObject({ code: 'domainNotProved' });
    await verifyDomain(api, other.developer, theirs.id);
    putProof(bench, mine);
    await expect(verifyDomain(api, tenant.developer, mine.id)).rejects.toMatchObject({ code: 'domainTaken' });
  });

  test('is held by one organization at a time, with everything below it; a second claim is not told whose it is', async () => {
    const { api, tenant, other } = bench;
    const row = await holdDomain(bench, fresh());
    for (const name of [row.name, row.name.toUpperCase(), `sub.${row.name}`]) {
      const again = claimDomain(api, other.developer, { name });
      await expect(again).rejects.toMatchObject({ kind: 'conflict', code: 'domainTaken' });
      await expect(again).rejects.not.toMatchObject({ detail: expect.stringContaining(tenant.vendorId) });
    }
    expect((await refusals(bench, 'domain.claimed')).at(-1)).toContain('held by another organization');
    await expect(claimDomain(api, tenant.developer, { name: row.name })).rejects.toMatchObject({
      code: 'domainClaimed',
    });
    // The parent itself is nobody's; whoever holds it does not hold what another one held before.
    const parent = await claimDomain(api, other.developer, { name: 'parent.example.net' });
    const child = await holdDomain(bench, 'child.parent.example.net');
    putProof(bench, parent);
    await verifyDomain(api, other.developer, parent.id);
    await expect(createUser(api, other.developer, { address: `alice@${child.name}` })).rejects.toMatchObject({
      code: 'nameNotEntitled',
    });
    await createUser(api, other.developer, { address: 'alice@parent.example.net' });
  });

  test.each([
    ['*.example.com', 'wildcard'],
    ['m\u00fcnchen.example', 'A-labels'],
    ['com', 'single label'],
    ['192.0.2.1', 'address'],
    ['example.com:80', 'letters'],
  ])('is not %s', async (name, why) => {
    await expect(claimDomain(bench.api, bench.tenant.developer, { name })).rejects.toMatchObject({
      kind: 'invalid',
      member: 'name',
      detail: expect.stringContaining(why),
    });
  });

  test('is claimed for oneself; for others by the authority alone', async () => {
    const { api, tenant, other, officer } = bench;
    const organizationId = other.vendorId;
    await expect(claimDomain(api, tenant.developer, { name: fresh(), organizationId })).rejects.toMatchObject({
      member: 'organizationId',
    });
    expect(await claimDomain(api, officer, { name: fresh(), organizationId })).toMatchObject({ organizationId });
  });

  test('of another organization answers as an absent one', async () => {
    const row = await holdDomain(bench, fresh());
    const { developer } = bench.other;
    for (const id of [row.id, '01900000-0000-7000-8000-000000000000', 'x']) {
      await expect(verifyDomain(bench.api, developer, id)).rejects.toMatchObject({ detail: 'no such domain' });
      await expect(enableDomain(bench.api, developer, id)).rejects.toMatchObject({ detail: 'no such domain' });
    }
    await expect(disableDomain(bench.api, developer, row.id, 'superseded')).rejects.toMatchObject({
      detail: 'no such domain',
    });
  });

  test('is granted by two people of the authority, where DNS cannot tell', async () => {
    const { api, officer, approver, tenant } = bench;
    const name = `${++n}.corp.internal`;
    const grant = { organizationId: tenant.vendorId, name };
    await expect(propose(api, tenant.developer, 'domain.grant', grant)).rejects.toMatchObject({
      detail: expect.stringContaining('only the authority'),
    });
    const { approvalId } = await propose(api, officer, 'domain.grant', grant);
    await expect(approve(api, officer, approvalId, {})).rejects.toMatchObject({ code: 'samePerson' });
    const { result } = await approve(api, approver, approvalId, {});
    const id = String(result['domainId']);
    expect(domainStatus(api, id)).toBe('verified');
    // No record is asked for, and none is looked for again.
    expect(await verifyDomain(api, tenant.developer, id)).toMatchObject({ status: 'verified' });
    shift = 400 * DAY;
    await recheck();
    expect(domainStatus(api, id)).toBe('verified');
    shift = 0;
    await expect(propose(api, officer, 'domain.grant', grant)).rejects.toMatchObject({ code: 'domainClaimed' });
  });

  test('that DNS does not answer for is neither proved nor lost', async () => {
    const row = await holdDomain(bench, fresh());
    bench.dns.failing = true;
    try {
      await expect(verifyDomain(bench.api, bench.tenant.developer, row.id)).rejects.toMatchObject({
        kind: 'unavailable',
      });
      for (let day = 1; day <= 8; day++) {
        shift = day * DAY + day;
        await recheck();
      }
      expect(domainStatus(bench.api, row.id)).toBe('verified');
      // But not for ever: then it is free for whoever proves it.
      shift = 31 * DAY;
      expect((await recheck()).lapsed).toBeGreaterThan(0);
      expect(bench.worker.follower.index.domain(row.id)?.status).toBe('lapsed');
      bench.dns.failing = false;
      await holdDomain(bench, row.name, bench.other);
      expect(domainStatus(bench.api, row.id)).toBe('disabled');
    } finally {
      bench.dns.failing = false;
    }
  }, 120_000);

  test('is looked at again each day, and lapses after a week without its record; then it is free (S21)', async () => {
    const { api, tenant, other } = bench;
    const row = await holdDomain(bench, fresh());
    const user = await addUser(bench, `alice@${row.name}`);
    shift = DAY + 60;
    expect(await recheck()).toMatchObject({ missing: 0, lapsed: 0 });
    bench.dns.records.delete(`_touchmark-challenge.${row.name}`);
    for (let day = 2; day <= 7; day++) {
      shift = day * (DAY + 60);
      expect((await recheck()).missing).toBe(1);
      expect(domainStatus(api, row.id)).toBe('verified');
    }
    shift = 8 * (DAY + 60);
    expect((await recheck()).lapsed).toBe(1);
    expect(domainStatus(api, row.id)).toBe('lapsed');
    const next = await claimDomain(api, other.developer, { name: row.name });
    putProof(bench, next);
    await verifyDomain(api, other.developer, next.id);
    // Whoever let it lapse has lost it, and what rests on it ends.
    expect(domainStatus(api, row.id)).toBe('disabled');
    expect(userStatus(api, user.id)).toBe('active');
    await expect(enableDomain(api, tenant.developer, row.id)).rejects.toMatchObject({ code: 'domainNotProved' });
  });

  test('whose proof is older than 30 days by the log counts no more, whatever its row says', async () => {
    const row = await holdDomain(bench, fresh());
    await bench.db.sql(`update domains set checked_at = now() + interval '1 year' where id = $1`, [row.id]);
    shift = 30 * DAY + 60;
    await recheck();
    expect(domainStatus(bench.api, row.id)).toBe('lapsed');
    await expect(createUser(bench.api, bench.tenant.developer, { address: `a@${row.name}` })).rejects.toMatchObject({
      code: 'nameNotEntitled',
    });
  });

  test('written or altered by SQL is not believed', async () => {
    const { api, db, tenant } = bench;
    const planted = fresh();
    await db.sql(
      `insert into domains (id, name, organization_id, held, mac) values (gen_random_uuid(), $1, $2, true, '\\x')`,
      [planted, tenant.vendorId],
    );
    await expect(createUser(api, tenant.developer, { address: `a@${planted}` })).rejects.toMatchObject({
      code: 'nameNotEntitled',
    });
    const row = await holdDomain(bench, fresh());
    const wanted = fresh();
    await db.sql(`update domains set name = $2 where id = $1`, [row.id, wanted]);
    await expect(createUser(api, tenant.developer, { address: `a@${wanted}` })).rejects.toMatchObject({
      code: 'rowMac',
    });
    await db.sql(`delete from domains where id = $1`, [row.id]);
  });

  test('that is disabled counts no more; enabled again it does, by its proof, or by the authority where that ended it', async () => {
    const { api, tenant, officer } = bench;
    const row = await holdDomain(bench, fresh());
    await expect(disableDomain(api, tenant.developer, row.id, 'keyCompromise')).rejects.toMatchObject({
      member: 'reason',
    });
    await expect(disableDomain(api, tenant.developer, row.id, 'privilegeWithdrawn')).rejects.toMatchObject({
      kind: 'forbidden',
    });
    const first = await disableDomain(api, tenant.developer, row.id, 'cessationOfOperation');
    expect(await disableDomain(api, tenant.developer, row.id, 'superseded')).toEqual(first);
    expect(domainStatus(api, row.id)).toBe('disabled');
    await expect(verifyDomain(api, tenant.developer, row.id)).rejects.toMatchObject({ code: 'domainDisabled' });
    await expect(createUser(api, tenant.developer, { address: `a@${row.name}` })).rejects.toMatchObject({
      code: 'nameNotEntitled',
    });
    await enableDomain(api, tenant.developer, row.id);
    expect(domainStatus(api, row.id)).toBe('verified');
    await disableDomain(api, officer, row.id, 'privilegeWithdrawn');
    await expect(enableDomain(api, tenant.developer, row.id)).rejects.toMatchObject({ kind: 'forbidden' });
    expect(domainStatus(api, row.id)).toBe('disabled');
    await enableDomain(api, officer, row.id);
    expect(domainStatus(api, row.id)).toBe('verified');
  });
});

describe('a user', () => {
  test('has an address in a domain of the organization, folded but for its user part (S22)', async () => {
    const { api, tenant } = bench;
    const row = await holdDomain(bench, fresh());
    const user = await createUser(api, tenant.developer, { address: `Alice@${row.name.toUpperCase()}` });
    expect(user).toMatchObject({ address: `Alice@${row.name}`, domainId: row.id });
    // A JID is lower-case: this one is none.
    expect(user.types).toEqual(['sip-user', 'im', 'pres', 'email']);
    expect(userStatus(api, user.id)).toBe('active');
    await expect(createUser(api, tenant.developer, { address: `Alice@${row.name}` })).rejects.toMatchObject({
      kind: 'conflict',
    });
    await createUser(api, tenant.developer, { address: `alice@${row.name}`, types: ['email'] });
    await createUser(api, tenant.developer, { address: `+4930123@sub.${row.name}` });
  });

  test.each([
    ['of another organization', 'theirs'],
    ['of nobody', 'nobody'],
  ])('is not made in a domain %s, with one answer and an entry (SX05)', async (_, whose) => {
    const name = fresh();
    if (whose === 'theirs') await holdDomain(bench, name, bench.other);
    await expect(createUser(bench.api, bench.tenant.developer, { address: `a@${name}` })).rejects.toMatchObject({
      kind: 'forbidden',
      detail: `a@${name} is not a name that this organization holds`,
    });
    expect((await refusals(bench, 'user.created')).at(-1)).toContain(name);
  });

  test.each(['alice', 'alice@', 'al%40ice@example.com', 'a@b@example.com', 'alice@m\u00fcnchen.example'])(
    'is not %s',
    async (address) => {
      await expect(createUser(bench.api, bench.tenant.developer, { address })).rejects.toMatchObject({
        kind: 'invalid',
        member: 'address',
      });
    },
  );

  test('is disabled and enabled by its organization, and by the authority where that ended it', async () => {
    const { api, tenant, officer, other } = bench;
    const row = await holdDomain(bench, fresh());
    const user = await addUser(bench, `alice@${row.name}`);
    await expect(disableUser(api, other.developer, user.id, 'superseded')).rejects.toMatchObject({
      detail: 'no such user',
    });
    await disableUser(api, tenant.developer, user.id, 'affiliationChanged');
    expect(userStatus(api, user.id)).toBe('disabled');
    await enableUser(api, tenant.developer, user.id);
    expect(userStatus(api, user.id)).toBe('active');
    await disableUser(api, officer, user.id, 'privilegeWithdrawn');
    await expect(enableUser(api, tenant.developer, user.id)).rejects.toMatchObject({ kind: 'forbidden' });
    await enableUser(api, officer, user.id);
  });
});
