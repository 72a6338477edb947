import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { runSource } from '../../apps/touchmark/test/run-source.js';
import { approve, createDeviceGroup, propose, type AuthorityContext } from '#authority';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeProduct } from '../harness/fixtures.js';
import { makePerson } from '../harness/people.js';

const DEVICES = 2500;
const BLOCK = 1000;

let db: TestDatabase;
let api: AuthorityContext;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
});
afterAll(() => db.stop());

/** Enrolled devices of a group, each with a certificate, as rows; nobody looks at their bytes here. */
async function plantMembers(groupId: string, appId: string): Promise<void> {
  const owners = 'owner_org_id, issuer_org_id';
  await db.sql(
    `insert into devices (id, instance_id, app_id, group_id, profile, status, ${owners})
     select gen_random_uuid(), gen_random_uuid(), $2, id, 'device', 'enrolled', ${owners}
     from device_groups, generate_series(1, $3::int) where id = $1`,
    [groupId, appId, DEVICES],
  );
  await db.sql(
    `with taken as (
       insert into serials (serial, issuer_id, shard, not_after, state)
       select '\\x01'::bytea || uuid_send(d.id), i.id, 0, date_trunc('day', now()) + interval '90 days', 'issued'
       from devices d, issuers i where d.group_id = $1 and i.kind = 'issuing' returning *
     )
     insert into certificates (serial, issuer_id, not_before, not_after, profile, profile_version, tbs, der, spki_sha256, subject,
       names, device_id, requester, ${owners}, mac)
     select t.serial, t.issuer_id, now(), t.not_after, 'device', 1, 'x', 'x', sha256(t.serial), '', '{}', d.id, 'x', ${owners}, 'x'
     from taken t join devices d on t.serial = '\\x01'::bytea || uuid_send(d.id)`,
    [groupId],
  );
}

const count = async (text: string, values: unknown[]): Promise<number> =>
  (await db.sql<{ n: number }>(`select count(*)::int as n ${text}`, values))[0]!.n;

test(`SIGKILL in the middle of revoking ${DEVICES} devices: the next run ends it, each exactly once`, async () => {
  const product = await makeProduct(api, db.operator);
  const group = await createDeviceGroup(api, db.operator, { name: 'Fleet', vendorId: product.vendorId });
  await plantMembers(group.id, product.appId);
  const [officer, approver] = [await makePerson(db, ['officer']), await makePerson(db, ['approver'])];
  const proposed = await propose(api, officer, 'group.revoke', { groupId: group.id, reason: 'superseded' });
  const started = performance.now();
  const { result } = await approve(api, approver, proposed.approvalId, { digest: proposed.digest });
  const approvedMs = Math.round(performance.now() - started);
  expect(result).toEqual({ groupId: group.id, members: DEVICES });

  const { macKey, authorityId } = db;
  const orders = {
    connection: db.connection('worker'),
    macKey: macKey.export().toString('hex'),
    authorityId,
    groupId: group.id,
  };
  const run = () => runSource('../../test/crash/follow-group.ts', [], { input: JSON.stringify(orders) });
  const revoked = `from status_changes where kind = 'device' and status = 'revoked'
    and subject in (select id::text from devices where group_id = $1)`;
  const first = run();
  await first.said('"members":500');
  first.kill('SIGKILL');
  await first.ended();
  const before = await count(revoked, [group.id]);
  expect(before).toBeGreaterThanOrEqual(500);
  expect(before).toBeLessThan(DEVICES);

  const restarted = performance.now();
  const { status, stdout, stderr } = await run().ended();
  const seconds = (performance.now() - restarted) / 1000;
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toContain(JSON.stringify({ done: { members: DEVICES, changes: 2 * (DEVICES - before) } }));
  expect(await count(revoked, [group.id])).toBe(DEVICES);
  const certificates = `from status_changes where kind = 'certificate' and status = 'revoked' and reason = 'superseded'`;
  expect(await count(certificates, [])).toBe(DEVICES);
  expect(await count(`from devices where group_id = $1 and status <> 'revoked'`, [group.id])).toBe(0);
  expect(await count(`from audit where action = 'device.revoked'`, [])).toBe(DEVICES);
  expect(await count(`from outbox where topic = 'group.wanted' and done_at is null`, [])).toBe(0);
  const [largest] = await db.sql<{ n: number }>(
    `select max(n)::int as n from (select count(*) as n from status_changes where status = 'revoked' group by xmin::text)`,
  );
  expect(largest!.n).toBeLessThanOrEqual(BLOCK);
  process.stdout.write(
    `group revocation: approved in ${approvedMs} ms; ${before} devices before the kill, ${DEVICES - before} after it in ${seconds.toFixed(1)} s with the start of the process\n`,
  );
}, 120_000);
