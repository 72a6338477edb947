import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  approve,
  approvePending,
  certificateStatus,
  changeDevice,
  createDeviceGroup,
  deviceStatus,
  enrollOverEst,
  followGroup,
  groupStatus,
  propose,
  registerDevice,
  releaseCertificate,
  resumeDevice,
  resumeGroup,
  revokeCertificate,
  revokeDevice,
  suspendDevice,
  suspendGroup,
  type AuthorityContext,
} from '#authority';
import { loadConfig } from '#kernel';
import { readCertificate } from '#pki';
import { profiles, shippedLabel } from '#policy';
import { findCertificate, findDevice, statusHistory, type StatusKind } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey, type DeviceKey } from '../harness/device.js';
import {
  type Product,
  type TestDevice,
  enroll,
  enrollRequest,
  makeProduct,
  renewRequest,
} from '../harness/fixtures.js';
import { makePerson, type Person } from '../harness/people.js';

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let worker: AuthorityContext;
let officer: Person;
let approver: Person;
let product: Product;
let group: string;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  est = await db.context('est');
  worker = await db.context('worker');
  officer = await makePerson(db, ['officer']);
  approver = await makePerson(db, ['approver']);
  product = await makeProduct(api, db.operator);
});
afterAll(() => db.stop());

const newGroup = async () =>
  (await createDeviceGroup(api, officer, { name: 'Field test', vendorId: product.vendorId })).id;
beforeEach(async () => {
  group = await newGroup();
});

type Member = TestDevice & { key: DeviceKey; certificate: Buffer };
async function makeMember(groupId: string | undefined = group): Promise<Member> {
  const { appId } = product;
  const { device, enrollment } = await registerDevice(api, officer, { appId, groupId });
  const made = { device, secret: enrollment.secret };
  const key = newKey();
  return { ...made, key, certificate: await enroll(est, enrollRequest(made, key)) };
}

const everything = { scope: { organizationId: '00000000-0000-0000-0000-000000000000', authority: true } };
const serialOf = (member: Member): string => readCertificate(member.certificate).serial;
const shown = async (member: Member) => {
  const serial = Buffer.from(serialOf(member), 'hex');
  const row = await api.database.transaction((tx) => findCertificate(tx, serial), everything);
  return certificateStatus(api, row!).status;
};
const shownDevice = async ({ device }: TestDevice) =>
  deviceStatus(api, (await api.database.transaction((tx) => findDevice(tx, device.id), everything))!);
const history = (kind: StatusKind, subject: string) =>
  api.database.transaction((tx) => statusHistory(tx, kind, subject), everything);

/** The members do what the log says of their group, and every plane knows. */
async function follow(id = group) {
  const progress = await followGroup(worker, id);
  const [head] = await db.sql<{ seq: string }>('select seq from status_counter');
  for (const plane of [api, est]) await plane.follower.catchUp(Number(head!.seq));
  return progress;
}
async function revoke(reason = 'superseded', id = group) {
  const { approvalId } = await propose(api, officer, 'group.revoke', { groupId: id, reason });
  const { result } = await approve(api, approver, approvalId, {});
  await est.follower.catchUp(api.follower.index.seq);
  return result;
}
const suspend = async () => {
  await suspendGroup(api, officer, group);
  await est.follower.catchUp(api.follower.index.seq);
};

describe('a suspended group', () => {
  test('enrolls and renews nobody from the answer on, and its certificates go on hold; others are left alone', async () => {
    const [member, other] = [await makeMember(), await makeMember(await newGroup())];
    const { device, enrollment } = await registerDevice(api, officer, { appId: product.appId, groupId: group });
    const newcomer = { device, secret: enrollment.secret };
    await suspend();
    expect(groupStatus(api, group)).toBe('suspended');
    const suspended = { kind: 'forbidden', detail: 'the device or its group is suspended' };
    await expect(enroll(est, enrollRequest(newcomer, newKey()))).rejects.toMatchObject(suspended);
    await expect(enroll(est, renewRequest(member.device, member.certificate, newKey()))).rejects.toMatchObject(
      suspended,
    );
    expect(await follow()).toEqual({ members: 2, changes: 1 });
    expect(await shown(member)).toBe('onHold');
    expect(await shown(other)).toBe('active');
    await resumeGroup(api, officer, group);
    expect(await follow()).toEqual({ members: 2, changes: 1 });
    expect(await shown(member)).toBe('active');
    await enroll(est, enrollRequest(newcomer, newKey()));
    await enroll(est, renewRequest(member.device, member.certificate, newKey()));
  });

  test('is not got around by a request that looked before: the intent itself asks the log', async () => {
    const { device, enrollment } = await registerDevice(api, officer, { appId: product.appId, groupId: group });
    const late: AuthorityContext = {
      ...est,
      // As if this request had read the standing just before the suspension.
      follower: {
        ...est.follower,
        index: est.follower.index,
        assertFresh: () => undefined,
        catchUp: async () => undefined,
      },
      database: {
        transaction: (work, options) => est.database.transaction(work, options),
        single: async (work) => {
          const read = await est.database.single(work);
          if (groupStatus(api, group) === 'active') await suspendGroup(api, officer, group);
          return read;
        },
      },
    };
    const request = enrollRequest({ device, secret: enrollment.secret }, newKey());
    await expect(enroll(late, request)).rejects.toMatchObject({
      kind: expect.stringMatching(/forbidden|unavailable/),
    });
    const [row] = await db.sql<{ n: number }>('select count(*)::int as n from certificates where device_id = $1', [
      device.id,
    ]);
    expect(row!.n).toBe(0);
  });

  test('is resumed without touching the holds that are not its own', async () => {
    const [before, during, deviceBefore, deviceDuring, deviceEnded] = [
      await makeMember(),
      await makeMember(),
      await makeMember(),
      await makeMember(),
      await makeMember(),
    ];
    const hold = { reason: 'certificateHold' as const };
    await revokeCertificate(api, officer, serialOf(before), hold);
    await suspendDevice(api, officer, deviceBefore.device.id);
    await suspendDevice(api, officer, deviceEnded.device.id);
    await suspend();
    await follow();
    await revokeCertificate(api, officer, serialOf(during), hold);
    await suspendDevice(api, officer, deviceDuring.device.id);
    await resumeDevice(api, officer, deviceEnded.device.id);
    expect(await shown(deviceEnded)).toBe('onHold');
    await expect(releaseCertificate(api, officer, serialOf(deviceEnded))).rejects.toMatchObject({
      detail: 'the group is suspended; resume it first',
    });
    await resumeGroup(api, officer, group);
    await follow();
    for (const held of [before, during, deviceBefore, deviceDuring]) expect(await shown(held)).toBe('onHold');
    expect(await shown(deviceEnded)).toBe('active');
    for (const own of [before, during]) await releaseCertificate(api, officer, serialOf(own));
    for (const one of [deviceBefore, deviceDuring]) await resumeDevice(api, officer, one.device.id);
    for (const one of [before, during, deviceBefore, deviceDuring]) expect(await shown(one)).toBe('active');
  });

  test('ends what its devices wait for: rejected with the reason where nobody had decided, else withdrawn', async () => {
    const label = { ...shippedLabel(profiles(loadConfig({}).lifetimes).device), approval: true };
    const waiting = async (groupId: string) => {
      const { device, enrollment } = await registerDevice(api, officer, { appId: product.appId, groupId });
      const request = enrollRequest({ device, secret: enrollment.secret }, newKey(), { label });
      expect(await enrollOverEst(est, request)).toMatchObject({ state: 'pending' });
      const [row] = await db.sql<{ id: string }>(`select id from pending_enrollments where device_id = $1`, [
        device.id,
      ]);
      return { request, id: row!.id };
    };
    const [asked, approved, other] = [await waiting(group), await waiting(group), await waiting(await newGroup())];
    await approvePending(api, approver, approved.id, {});
    await suspend();
    expect(await follow()).toEqual({ members: 2, changes: 0 });
    expect(await follow()).toEqual({ members: 2, changes: 0 });
    const ended = async ({ id }: { id: string }) => ({
      rows: await db.sql(`select state, reason, decider from pending_enrollments where id = $1`, [id]),
      audits: (
        await db.sql<{ action: string; actor: string; detail: string }>(
          `select action, actor, convert_from(canonical, 'UTF8') as detail from audit where subject = $1 order by id`,
          [`enrollment:${id}`],
        )
      ).slice(1),
    });
    const reason = 'the group of the device is suspended';
    const detail = expect.stringContaining(reason);
    const actor = 'system:worker';
    expect(await ended(asked)).toEqual({
      rows: [{ state: 'rejected', reason, decider: actor }],
      audits: [{ action: 'enrollment.rejected', actor, detail }],
    });
    const decided = { action: 'enrollment.approved', actor: approver.id, detail: expect.any(String) };
    expect(await ended(approved)).toEqual({
      rows: [{ state: 'withdrawn', reason, decider: approver.id }],
      audits: [decided, { action: 'enrollment.withdrawn', actor, detail }],
    });
    expect(await ended(other)).toEqual({ rows: [{ state: 'pending', reason: null, decider: null }], audits: [] });
    await expect(approvePending(api, approver, asked.id, {})).rejects.toMatchObject({ code: 'approvalDecided' });
    await resumeGroup(api, officer, group);
    await follow();
    await expect(enrollOverEst(est, asked.request)).rejects.toMatchObject({
      detail: `the enrollment was rejected: ${reason}`,
    });
    expect(await enrollOverEst(est, approved.request)).toMatchObject({ state: 'pending' });
    await revoke();
    await follow();
    expect((await ended(approved)).rows).toMatchObject([{ state: 'withdrawn' }]);
    const last = await db.sql(
      `select state, reason from pending_enrollments where device_id = $1 order by id desc limit 1`,
      [approved.request.csr.subject.flat()[0]!.value],
    );
    expect(last).toEqual([{ state: 'rejected', reason: 'the group of the device is revoked' }]);
  });

  test('answers the same again, and is followed once however often it is asked', async () => {
    await makeMember();
    const first = await suspendGroup(api, officer, group);
    expect(await suspendGroup(api, officer, group)).toEqual(first);
    expect(await follow()).toEqual({ members: 1, changes: 1 });
    expect(await follow()).toEqual({ members: 1, changes: 0 });
    expect(await history('group', group)).toHaveLength(1);
    const open = `select 1 from outbox where topic = 'group.wanted' and subject = $1 and done_at is null`;
    expect(await db.sql(open, [group])).toEqual([]);
  });

  test('is neither joined nor left', async () => {
    const member = await makeMember();
    const outside = await makeMember(await newGroup());
    await suspend();
    for (const [{ device }, to] of [
      [member, null],
      [member, outside.device.groupId],
      [outside, group],
    ] as const) {
      await expect(changeDevice(api, officer, device.id, { groupId: to })).rejects.toMatchObject({
        code: 'groupSuspended',
      });
    }
    await changeDevice(api, officer, member.device.id, { releaseId: product.releaseId });
    await expect(registerDevice(api, officer, { appId: product.appId, groupId: group })).rejects.toMatchObject({
      code: 'groupSuspended',
    });
  });
});

describe('a revoked group', () => {
  test('takes two people; nobody of it enrolls from then on, and its devices follow for good', async () => {
    const member = await makeMember();
    const waiting = await registerDevice(api, officer, { appId: product.appId, groupId: group });
    const proposed = await propose(api, officer, 'group.revoke', { groupId: group, reason: 'superseded' });
    expect(groupStatus(api, group)).toBe('active');
    await expect(approve(api, officer, proposed.approvalId, {})).rejects.toMatchObject({ code: 'samePerson' });
    const { result } = await approve(api, approver, proposed.approvalId, {});
    expect(result).toEqual({ groupId: group, members: 2 });
    expect(groupStatus(api, group)).toBe('revoked');
    await est.follower.catchUp(api.follower.index.seq);
    const late = enrollRequest({ device: waiting.device, secret: waiting.enrollment.secret }, newKey());
    await expect(enroll(est, late)).rejects.toMatchObject({ kind: 'forbidden' });
    expect(await follow()).toEqual({ members: 2, changes: 3 });
    expect(await shownDevice(member)).toBe('revoked');
    expect(await shown(member)).toBe('revoked');
    await expect(enroll(est, late)).rejects.toMatchObject({ kind: 'unauthenticated' });
    expect(await follow()).toEqual({ members: 2, changes: 0 });
    const [log] = await history('device', member.device.id);
    expect(log).toMatchObject({ status: 'revoked', reason: 'superseded' });
  });

  test('stays so: it is not suspended, resumed, revoked again, joined or left', async () => {
    const member = await makeMember();
    await revoke();
    for (const change of [suspendGroup, resumeGroup]) {
      await expect(change(api, officer, group)).rejects.toMatchObject({ kind: 'conflict' });
    }
    await expect(revoke()).rejects.toMatchObject({ code: 'groupRevoked' });
    await expect(changeDevice(api, officer, member.device.id, { groupId: null })).rejects.toMatchObject({
      code: 'groupRevoked',
    });
    await expect(registerDevice(api, officer, { appId: product.appId, groupId: group })).rejects.toMatchObject({
      code: 'groupRevoked',
    });
    await db.sql(`update device_groups set status = 'active' where id = $1`, [group]);
    expect(groupStatus(api, group)).toBe('revoked');
  });

  test('ends devices on hold too, leaves what was revoked before, and blocks compromised keys', async () => {
    const [held, gone, plain] = [await makeMember(), await makeMember(), await makeMember()];
    await suspendDevice(api, officer, held.device.id);
    await revokeDevice(api, officer, gone.device.id, { reason: 'cessationOfOperation' });
    await suspend();
    await follow();
    await revoke('keyCompromise');
    expect(await follow()).toEqual({ members: 3, changes: 4 });
    for (const one of [held, plain]) {
      expect(await shown(one)).toBe('revoked');
      expect(await shownDevice(one)).toBe('revoked');
    }
    expect((await history('device', gone.device.id)).at(-1)).toMatchObject({ reason: 'cessationOfOperation' });
    const outside = await registerDevice(api, officer, { appId: product.appId });
    const stolen = enrollRequest({ device: outside.device, secret: outside.enrollment.secret }, plain.key);
    await expect(enroll(est, stolen)).rejects.toMatchObject({ code: 'keyBlocked' });
  });

  test('lets a device come back only after it has left the group', async () => {
    const member = await makeMember();
    await revoke();
    await follow();
    const again = () => propose(api, officer, 'device.reenroll', { deviceId: member.device.id });
    await expect(again()).rejects.toMatchObject({ code: 'groupRevoked' });
    await changeDevice(api, officer, member.device.id, { groupId: null });
    await approve(api, approver, (await again()).approvalId, {});
    expect(await shownDevice(member)).toBe('registered');
  });

  test.each(['certificateHold', 'whatever', ''])('takes no reason "%s"', async (reason) => {
    await expect(propose(api, officer, 'group.revoke', { groupId: group, reason })).rejects.toMatchObject({
      member: 'reason',
    });
  });

  test('is followed on the word of the log in memory alone: rows written by SQL move nobody', async () => {
    const member = await makeMember();
    await db.sql(`update device_groups set status = 'revoked' where id = $1`, [group]);
    expect(await followGroup(worker, group)).toEqual({ members: 0, changes: 0 });
    expect(await shownDevice(member)).toBe('enrolled');
  });

  test('stops where the group was changed meanwhile; the newer row is followed by a run of its own', async () => {
    await makeMember();
    await suspend();
    let transactions = 0;
    const interrupted: AuthorityContext = {
      ...worker,
      database: {
        single: (work) => worker.database.single(work),
        transaction: async (work, options) => {
          if (++transactions === 2) await resumeGroup(api, officer, group);
          return worker.database.transaction(work, options);
        },
      },
    };
    await worker.follower.catchUp(api.follower.index.seq);
    expect(await followGroup(interrupted, group)).toEqual({ members: 0, changes: 0 });
    expect(await follow()).toEqual({ members: 1, changes: 0 });
  });
});
