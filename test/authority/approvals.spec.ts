import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  approve,
  createOrganization,
  expireProposals,
  propose,
  reject,
  withdraw,
  type Actor,
  type AuthorityContext,
} from '#authority';
import type { Clock } from '#kernel';
import type { Database } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import {
  grantRole,
  makeBootstrap,
  makeMachine,
  makePerson,
  removePerson,
  revokeToken,
  withdrawRole,
  type Person,
} from '../harness/people.js';

const HOUR_MS = 3_600_000;
let offset = 0;
const clock: Clock = {
  now: () => new Date(Date.now() + offset),
  monotonicMs: () => performance.now(),
};

let db: TestDatabase;
let api: AuthorityContext;
let admin: Person;
let approver: Person;
let testingId: string;
beforeAll(async () => {
  db = await startTestDatabase({ clock });
  api = await db.context('api');
  admin = await makePerson(db, ['admin', 'approver']);
  approver = await makePerson(db, ['approver', 'admin']);
  testingId = (await createOrganization(api, db.operator, { name: 'Lab', kind: 'testing' })).id;
});
afterAll(() => db.stop());

/** Somebody proposes that a new person becomes an auditor. */
async function proposal(by: Actor = admin, organizationId?: string) {
  const somebody = await makePerson(db, [], organizationId);
  const proposed = await propose(api, by, 'role.grant', { personId: somebody.personId, roles: ['auditor'] });
  return { ...proposed, somebody };
}
const rolesOf = (person: Person) => [...(api.follower.index.person(person.personId)?.roles ?? [])];
const rowOf = async (id: string) => (await db.sql('select * from approvals where id = $1', [id]))[0]!;
const audited = (id: string, action: string, outcome: string) =>
  db.sql<{ canonical: Buffer; actor: string }>(
    `select canonical, actor from audit where subject = $1 and action = $2 and outcome = $3`,
    [`approval:${id}`, action, outcome],
  );
const seq = async () => (await db.sql<{ seq: string }>('select seq from status_counter'))[0]!.seq;

/** Refused with this code, told in the audit log, nothing done, and still open where it was. */
async function expectRefused(
  made: { approvalId: string; somebody: Person },
  by: Actor,
  code: string,
  context: AuthorityContext = api,
  digest?: string,
): Promise<void> {
  const before = { state: (await rowOf(made.approvalId))['state'], seq: await seq() };
  await expect(approve(context, by, made.approvalId, { digest })).rejects.toMatchObject({ code });
  expect((await rowOf(made.approvalId))['state']).toBe(before.state);
  expect(await seq()).toBe(before.seq);
  expect(rolesOf(made.somebody)).toEqual([]);
  const rows = await audited(made.approvalId, 'approval.executed', 'refused');
  expect(rows.map((row) => row.canonical.toString())).toContainEqual(expect.stringContaining(`"code":"${code}"`));
}

describe('a proposal', () => {
  test('does nothing, and executes once another person approves it', async () => {
    const { approvalId, digest, somebody, expiresAt } = await proposal();
    expect(rolesOf(somebody)).toEqual([]);
    expect(expiresAt.getTime() - clock.now().getTime()).toBeLessThanOrEqual(HOUR_MS);
    expect(await rowOf(approvalId)).toMatchObject({ state: 'proposed', digest: Buffer.from(digest, 'hex') });
    const { row, result } = await approve(api, approver, approvalId, { digest });
    expect(row).toMatchObject({ state: 'executed', deciderPerson: approver.personId, singleOperator: false });
    expect(result).toEqual({ personId: somebody.personId, roles: ['auditor'] });
    expect(rolesOf(somebody)).toEqual(['auditor']);
    expect(await rowOf(approvalId)).toMatchObject({ state: 'executed', decider: approver.id });
    expect(await audited(approvalId, 'approval.proposed', 'success')).toHaveLength(1);
    expect(await audited(approvalId, 'approval.executed', 'success')).toHaveLength(1);
  });

  test('is refused for what could not be done, and leaves no row', async () => {
    const somebody = await makePerson(db, ['auditor']);
    const { personId } = somebody;
    const rows = async () => (await db.sql<{ n: number }>('select count(*)::int as n from approvals'))[0]!.n;
    const before = await rows();
    const attempt = (roles: string[], id = personId) => propose(api, admin, 'role.grant', { personId: id, roles });
    await expect(attempt(['developer'])).rejects.toMatchObject({ kind: 'invalid', member: 'roles' });
    await expect(attempt(['auditor'])).rejects.toMatchObject({ kind: 'conflict' });
    await expect(attempt(['officer'], approver.organizationId)).rejects.toMatchObject({ kind: 'notFound' });
    await removePerson(db, personId);
    await expect(attempt(['officer'])).rejects.toMatchObject({ kind: 'conflict', code: 'personRemoved' });
    expect(await rows()).toBe(before);
  });

  test('takes the permission of the operation, as the log grants it, and somebody who answers for it', async () => {
    const officer = await makePerson(db, ['officer']);
    await expect(proposal(officer)).rejects.toMatchObject({ kind: 'forbidden' });
    await expect(proposal({ ...admin, personId: undefined })).rejects.toMatchObject({ kind: 'forbidden' });
    await expect(proposal(db.operator)).rejects.toMatchObject({ kind: 'forbidden' });
  });

  test('is approved by the same approver again with the same result, and by nobody else', async () => {
    const made = await proposal();
    const first = await approve(api, approver, made.approvalId, {});
    const before = await seq();
    const again = await approve(api, approver, made.approvalId, {});
    expect(again).toMatchObject({ result: first.result, secretResult: undefined });
    expect(await seq()).toBe(before);
    const third = await makePerson(db, ['approver']);
    await expect(approve(api, third, made.approvalId, {})).rejects.toMatchObject({ code: 'approvalDecided' });
  });

  test('is executed once when two approve it at the same moment', async () => {
    const made = await proposal();
    const third = await makePerson(db, ['approver']);
    const both = await Promise.allSettled([
      approve(api, approver, made.approvalId, {}),
      approve(api, third, made.approvalId, {}),
    ]);
    expect(both.map((one) => one.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await audited(made.approvalId, 'approval.executed', 'success')).toHaveLength(1);
    const granted = await db.sql(`select 1 from status_changes where kind = 'role' and subject = $1`, [
      `${made.somebody.personId}:auditor`,
    ]);
    expect(granted).toHaveLength(1);
  });
});

describe('an approval is refused', () => {
  test('to whoever proposed it', async () => {
    await expectRefused(await proposal(), admin, 'samePerson');
  });

  test('to the person whose machine token proposed it', async () => {
    await expectRefused(await proposal(await makeMachine(db, admin, ['admin'])), admin, 'samePerson');
  });

  test('to the same person whatever roles are hers, and under another token', async () => {
    const both = await makePerson(db, ['officer', 'admin', 'approver', 'auditor']);
    const made = await proposal(both);
    await expectRefused(made, both, 'samePerson');
    await expectRefused(made, { ...both, requestId: 'another token' }, 'samePerson');
  });

  test('to a second bootstrap token: the authority answers for both', async () => {
    await expectRefused(await proposal(await makeBootstrap(db)), await makeBootstrap(db), 'samePerson');
  });

  test('to a machine token, whoever made it', async () => {
    const machine = await makeMachine(db, approver, ['approver']);
    await expectRefused(await proposal(), machine, 'approverMustBePerson');
  });

  test('to whose role was withdrawn a moment ago', async () => {
    const former = await makePerson(db, ['approver']);
    const made = await proposal();
    await withdrawRole(db, former.personId, 'approver');
    await expectRefused(made, former, 'forbidden');
  });

  test('by the log as it stands, also where this process has not heard of it yet', async () => {
    const former = await makePerson(db, ['approver']);
    const made = await proposal();
    // Not started: it hears of nothing but what it is asked to catch up with.
    const deaf = await db.follower({ plane: 'api' });
    await deaf.catchUp(api.follower.index.seq);
    await withdrawRole(db, former.personId, 'approver');
    expect(deaf.index.person(former.personId)?.roles.has('approver')).toBe(true);
    await expectRefused(made, former, 'forbidden', { ...api, follower: deaf });
  });

  test('to whose role is withdrawn by another process while the approval is under way', async () => {
    const former = await makePerson(db, ['approver']);
    const made = await proposal();
    const deaf = await db.follower({ plane: 'api' });
    await deaf.catchUp(api.follower.index.seq);
    let transactions = 0;
    const transaction: Database['transaction'] = async (work, scope) => {
      transactions += 1;
      // Of catching up, of looking, of executing: the last one.
      if (transactions === 3) await withdrawRole(db, former.personId, 'approver');
      return api.database.transaction(work, scope);
    };
    const database = { transaction, single: api.database.single.bind(api.database) };
    await expect(approve({ ...api, follower: deaf, database }, former, made.approvalId, {})).rejects.toMatchObject({
      kind: 'forbidden',
    });
    expect(transactions).toBe(3);
    expect(await rowOf(made.approvalId)).toMatchObject({ state: 'proposed' });
    expect(rolesOf(made.somebody)).toEqual([]);
  });

  test('with the digest of something else', async () => {
    const [made, other] = [await proposal(), await proposal()];
    await expectRefused(made, approver, 'approvalAltered', api, other.digest);
  });

  test('after its hour, before and after it was marked as expired', async () => {
    const made = await proposal();
    offset += HOUR_MS;
    await expectRefused(made, approver, 'approvalExpired');
    expect(await expireProposals(await db.context('worker'))).toBeGreaterThanOrEqual(1);
    expect(await expireProposals(await db.context('worker'))).toBe(0);
    expect(await rowOf(made.approvalId)).toMatchObject({ state: 'expired', decider: null });
    expect(await audited(made.approvalId, 'approval.expired', 'success')).toHaveLength(1);
    await expectRefused(made, approver, 'approvalExpired');
  });

  test('once it was rejected or withdrawn', async () => {
    const rejected = await proposal();
    expect(await reject(api, approver, rejected.approvalId)).toMatchObject({ state: 'rejected' });
    await expectRefused(rejected, approver, 'approvalDecided');
    const withdrawn = await proposal();
    expect(await withdraw(api, admin, withdrawn.approvalId)).toMatchObject({ state: 'withdrawn' });
    await expectRefused(withdrawn, approver, 'approvalDecided');
  });

  test('when the proposer has lost the permission, was removed, or the token was revoked', async () => {
    const demoted = await makePerson(db, ['admin']);
    const ofDemoted = await proposal(demoted);
    await withdrawRole(db, demoted.personId, 'admin');
    await expectRefused(ofDemoted, approver, 'proposerGone');
    const removed = await makePerson(db, ['admin']);
    const ofRemoved = [await proposal(removed), await proposal(await makeMachine(db, removed, ['admin']))];
    await removePerson(db, removed.personId);
    for (const made of ofRemoved) await expectRefused(made, approver, 'proposerGone');
    const machine = await makeMachine(db, admin, ['admin']);
    const ofMachine = await proposal(machine);
    await revokeToken(db, machine.tokenId);
    await expectRefused(ofMachine, approver, 'proposerGone');
  });

  test('when the operation could not be done any more', async () => {
    const made = await proposal();
    await removePerson(db, made.somebody.personId);
    await expect(approve(api, approver, made.approvalId, {})).rejects.toMatchObject({ code: 'personRemoved' });
    expect(await rowOf(made.approvalId)).toMatchObject({ state: 'proposed' });
  });
});

describe('an altered row is not executed', () => {
  const other = '01900000-0000-7000-8000-00000000abcd';
  test.each<[string, string, () => unknown]>([
    [
      'the proposal',
      `proposal = convert_to(replace(convert_from(proposal, 'UTF8'), 'auditor', 'officer'), 'UTF8')`,
      () => 0,
    ],
    ['the proposer', 'proposer_person = $2', () => other],
    ['who proposed', 'proposer = $2', () => `person:${other}`],
    ['the operation', 'operation = $2', () => 'person.invite'],
    ['the subject', 'subject = $2', () => 'person:x'],
    ['the organization', 'organization_id = $2', () => testingId],
    ['the hour', `proposed_at = proposed_at + interval '1 min', expires_at = expires_at + interval '1 min'`, () => 0],
    ['the MAC', 'mac = $2', () => Buffer.alloc(32)],
    ['the length of the MAC', 'mac = $2', () => Buffer.alloc(0)],
  ])('%s', async (_, change, value) => {
    const made = await proposal();
    const values = change.includes('$2') ? [made.approvalId, value()] : [made.approvalId];
    await db.tamper(`update approvals set ${change} where id = $1`, values);
    await expectRefused(made, approver, 'approvalAltered');
  });

  test('nor one that was never proposed here', async () => {
    const made = await proposal();
    const planted = '01900000-0000-7000-8000-00000000ffff';
    await db.tamper(
      `insert into approvals (id, organization_id, operation, subject, proposal, proposer, proposer_person, proposed_at, expires_at, mac)
       select $2::uuid, organization_id, operation, subject, convert_to(replace(convert_from(proposal, 'UTF8'), id::text, $2::text), 'UTF8'),
         proposer, proposer_person, proposed_at, expires_at, mac from approvals where id = $1`,
      [made.approvalId, planted],
    );
    await expectRefused({ ...made, approvalId: planted }, approver, 'approvalAltered');
  });
});

describe('organizations', () => {
  test('decide their own proposals; the authority may too; another does not even see them', async () => {
    const lab = await makePerson(db, ['admin'], testingId);
    const labApprover = await makePerson(db, ['approver'], testingId);
    const otherId = (await createOrganization(api, db.operator, { name: 'Other lab', kind: 'testing' })).id;
    const stranger = await makePerson(db, ['approver'], otherId);
    const [first, second] = [await proposal(lab, testingId), await proposal(lab, testingId)];
    await expect(approve(api, stranger, first.approvalId, {})).rejects.toEqual(
      await approve(api, stranger, otherId, {}).catch((error: unknown) => error),
    );
    await approve(api, labApprover, first.approvalId, {});
    await approve(api, approver, second.approvalId, {});
    const ofAuthority = await proposal();
    await expect(approve(api, labApprover, ofAuthority.approvalId, {})).rejects.toMatchObject({ kind: 'notFound' });
  });

  test('grant no roles to people of others', async () => {
    const lab = await makePerson(db, ['admin'], testingId);
    const attempt = propose(api, lab, 'role.grant', { personId: admin.personId, roles: ['officer'] });
    await expect(attempt).rejects.toMatchObject({ kind: 'notFound' });
  });
});

describe('rejecting and withdrawing', () => {
  test('withdrawing is for whoever proposed it, also with a machine token; again it answers the same', async () => {
    const made = await proposal();
    await expect(withdraw(api, approver, made.approvalId)).rejects.toMatchObject({ code: 'notProposer' });
    const machine = await makeMachine(db, admin, ['admin']);
    expect(await withdraw(api, machine, made.approvalId)).toMatchObject({ state: 'withdrawn' });
    expect(await withdraw(api, admin, made.approvalId)).toMatchObject({ state: 'withdrawn' });
    expect(await audited(made.approvalId, 'approval.withdrawn', 'success')).toHaveLength(1);
    expect(await audited(made.approvalId, 'approval.withdrawn', 'refused')).toHaveLength(1);
  });

  test('rejecting is for people, and not after the hour', async () => {
    const made = await proposal();
    const machine = await makeMachine(db, approver, ['approver']);
    await expect(reject(api, machine, made.approvalId)).rejects.toMatchObject({ code: 'approverMustBePerson' });
    offset += HOUR_MS;
    await expect(reject(api, approver, made.approvalId)).rejects.toMatchObject({ code: 'approvalExpired' });
  });
});

describe('single-operator mode', () => {
  let alone: TestDatabase;
  beforeAll(async () => {
    alone = await startTestDatabase({ settings: { singleOperator: true } });
  });
  afterAll(() => alone.stop());

  test('is off where nobody turned it on, also for the only operator', async () => {
    const context = await alone.context('api');
    const bootstrap = await makeBootstrap(alone);
    const { personId } = await makePerson(alone, []);
    const made = await propose(context, bootstrap, 'role.grant', { personId, roles: ['auditor'] });
    const off = { ...context, settings: { ...context.settings, singleOperator: false } };
    await expect(approve(off, bootstrap, made.approvalId, {})).rejects.toMatchObject({ code: 'samePerson' });
  });

  test('lets the only operator approve, audited and marked, and ends with the first approver beside him', async () => {
    const context = await alone.context('api');
    const bootstrap = await makeBootstrap(alone);
    const second = await makePerson(alone, []);
    const grant = (roles: string[]) =>
      propose(context, bootstrap, 'role.grant', { personId: second.personId, roles }).then((made) => made.approvalId);
    const [auditor, toApprover, officer] = [
      await grant(['auditor']),
      await grant(['approver']),
      await grant(['officer']),
    ];
    for (const id of [auditor, toApprover]) {
      const { row } = await approve(context, bootstrap, id, {});
      expect(row).toMatchObject({ singleOperator: true, state: 'executed' });
      const used = await alone.sql(
        `select 1 from audit where subject = $1 and action = 'singleOperator.used' and outcome = 'success'`,
        [`approval:${id}`],
      );
      expect(used).toHaveLength(1);
    }
    await expect(approve(context, bootstrap, officer, {})).rejects.toMatchObject({ code: 'singleOperatorOver' });
    await approve(context, second, officer, {});
  });

  test('does not make a machine token a person', async () => {
    const context = await alone.context('api');
    const person = await makePerson(alone, ['admin', 'approver']);
    const machine = await makeMachine(alone, person, ['admin', 'approver']);
    const { personId } = await makePerson(alone, []);
    const made = await propose(context, machine, 'role.grant', { personId, roles: ['auditor'] });
    await expect(approve(context, machine, made.approvalId, {})).rejects.toMatchObject({
      code: 'approverMustBePerson',
    });
  });

  test('comes back for the one who is left when the others are gone', async () => {
    const context = await alone.context('api');
    const person = await makePerson(alone, ['admin', 'approver']);
    const { personId } = await makePerson(alone, []);
    const made = await propose(context, person, 'role.grant', { personId, roles: ['auditor'] });
    await expect(approve(context, person, made.approvalId, {})).rejects.toMatchObject({ code: 'singleOperatorOver' });
    for (const other of [...context.follower.index.people()]) {
      if (other.id !== person.personId) await withdrawRole(alone, other.id, 'approver');
    }
    await approve(context, person, made.approvalId, {});
    await grantRole(alone, personId, 'approver');
  });
});

describe('the database itself refuses, whoever asks', () => {
  const decided = `update approvals set state = 'executed', decider = 'x', decider_person = $2, decided_at = $3 where id = $1`;

  test('an execution by the person that proposed it', async () => {
    const { approvalId } = await proposal();
    const now = clock.now();
    await expect(db.sql(decided, [approvalId, admin.personId, now])).rejects.toThrow('approvals_two_people');
    await db.sql(decided, [approvalId, approver.personId, now]);
  });

  test('an execution after the hour', async () => {
    const { approvalId } = await proposal();
    const late = new Date(clock.now().getTime() + HOUR_MS);
    await expect(db.sql(decided, [approvalId, approver.personId, late])).rejects.toThrow('approvals_in_time');
  });

  test('a life of more than an hour', async () => {
    const { approvalId } = await proposal();
    const copy = `insert into approvals (id, organization_id, operation, subject, proposal, proposer, proposer_person, proposed_at, expires_at, mac)
      select gen_random_uuid(), organization_id, operation, subject, proposal, proposer, proposer_person, proposed_at,
        proposed_at + interval '1 hour 1 second', mac from approvals where id = $1`;
    await expect(db.sql(copy, [approvalId])).rejects.toThrow('violates check constraint');
  });

  test('to decide twice, to open again, to alter a proposal', async () => {
    const { approvalId } = await proposal();
    const alter = (what: string) => db.sql(`update approvals set ${what} where id = $1`, [approvalId]);
    for (const change of [
      `state = 'rejected', decider = 'x', decider_person = proposer_person, decided_at = now(), proposal = 'x'`,
      `state = 'rejected', decider = 'x', decider_person = proposer_person, decided_at = now(), proposer_person = gen_random_uuid()`,
      `state = 'rejected', decider = 'x', decider_person = proposer_person, decided_at = now(), expires_at = expires_at - interval '1 s'`,
    ]) {
      await expect(alter(change)).rejects.toThrow('a proposal is never altered');
    }
    await expect(alter(`digest = 'x'`)).rejects.toThrow('digest');
    await reject(api, approver, approvalId);
    await expect(alter(`state = 'proposed', decider = null, decider_person = null, decided_at = null`)).rejects.toThrow(
      'cannot become',
    );
    await expect(alter(`state = 'executed'`)).rejects.toThrow('cannot become');
  });

  test('the api role to write anything but the outcome', async () => {
    const { approvalId } = await proposal();
    const plane = await db.as('api');
    const as = (text: string) =>
      plane.transaction((tx) => tx.run(text, [approvalId]), {
        scope: { organizationId: db.authorityId, authority: true },
      });
    for (const column of ['proposal', 'mac', 'proposer_person', 'expires_at', 'subject']) {
      await expect(as(`update approvals set ${column} = ${column} where id = $1`)).rejects.toMatchObject({
        cause: expect.objectContaining({ message: expect.stringContaining('permission denied') }),
      });
    }
    await expect(as('delete from approvals where id = $1')).rejects.toMatchObject({ kind: 'internal' });
  });
});
