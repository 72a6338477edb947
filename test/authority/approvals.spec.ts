import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { approve, propose, type Actor, type AuthorityContext } from '#authority';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makePerson } from '../harness/people.js';

type Person = Actor & { personId: string };

let db: TestDatabase;
let api: AuthorityContext;
let admin: Person;
let approver: Person;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  admin = await makePerson(db, ['admin', 'approver']);
  approver = await makePerson(db, ['approver', 'admin']);
});
afterAll(() => db.stop());

/** Somebody proposes that a new person becomes an officer. */
async function proposal(by: Actor = admin, organizationId?: string) {
  const somebody = await makePerson(db, [], organizationId);
  const roles = organizationId === undefined ? ['officer'] : ['auditor'];
  const proposed = await propose(api, by, 'role.grant', { personId: somebody.personId, roles });
  return { ...proposed, somebody, roles };
}
const rolesOf = (person: Person) => [...(api.follower.index.person(person.personId)?.roles ?? [])];
const rowOf = async (id: string) => (await db.sql('select * from approvals where id = $1', [id]))[0]!;
const audited = (id: string, action: string, outcome: string) =>
  db.sql<{ canonical: Buffer; actor: string }>(
    `select canonical, actor from audit where subject = $1 and action = $2 and outcome = $3`,
    [`approval:${id}`, action, outcome],
  );

describe('a proposal', () => {
  test('does nothing, and executes once another person approves it', async () => {
    const { approvalId, digest, somebody, expiresAt } = await proposal();
    expect(rolesOf(somebody)).toEqual([]);
    expect(expiresAt.getTime() - db.clock.now().getTime()).toBeLessThanOrEqual(3_600_000);
    expect(await rowOf(approvalId)).toMatchObject({ state: 'proposed', digest: Buffer.from(digest, 'hex') });
    const { row, result } = await approve(api, approver, approvalId, { digest });
    expect(row).toMatchObject({ state: 'executed', deciderPerson: approver.personId, singleOperator: false });
    expect(result).toEqual({ personId: somebody.personId, roles: ['officer'] });
    expect(rolesOf(somebody)).toEqual(['officer']);
    expect(await rowOf(approvalId)).toMatchObject({ state: 'executed', decider: approver.id });
    expect(await audited(approvalId, 'approval.proposed', 'success')).toHaveLength(1);
    expect(await audited(approvalId, 'approval.executed', 'success')).toHaveLength(1);
  });
});
