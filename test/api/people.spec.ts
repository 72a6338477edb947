import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { AuthorityContext } from '#authority';
import type { Role } from '#policy';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makePerson, sessionOf } from '../harness/people.js';
import { planeOf, type Answer, type ApiPlane } from './plane.js';

let db: TestDatabase;
let api: AuthorityContext;
let plane: ApiPlane;
let admin: string;
let tester: string;
let vendor: string;

interface Person {
  id: string;
  organizationId: string;
  status: string;
  roles: string[];
}

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await planeOf(api);
  admin = (await signedIn(['admin'])).token;
  const organization = async (kind: string) =>
    (await plane.post('/v1/organizations', { name: `A ${kind}`, kind }, admin)).json<{ id: string }>().id;
  tester = await organization('testing');
  vendor = await organization('vendor');
});
afterAll(async () => {
  await plane.close();
  await db.stop();
});

async function signedIn(roles: readonly Role[], organizationId?: string) {
  const person = await makePerson(db, roles, organizationId);
  return { person, token: await sessionOf(db, person) };
}

async function create(token: string, body: object): Promise<Person> {
  const answer = await plane.post('/v1/people', body, token);
  expect({ status: answer.status, text: answer.text }).toMatchObject({ status: 201 });
  return answer.json<Person>();
}

const remove = (id: string, token: string) => plane.send({ method: 'DELETE', url: `/v1/people/${id}` }, token);
const problem = (answer: Answer) => ({
  status: answer.status,
  type: answer.json<{ type: string }>().type.replace('urn:touchmark:problem:', ''),
});
const audited = async (subject: string): Promise<string[]> =>
  (
    await db.sql<{ what: string }>(
      `select action || ' ' || outcome as what from audit where subject = $1 order by id`,
      [subject],
    )
  ).map(({ what }) => what);

describe('a person', () => {
  test('is made without any role, in the organization of whoever makes her or, by the authority, in any', async () => {
    const ada = await create(admin, { name: 'Ada', email: 'ada@example.org', organizationId: tester });
    expect(ada).toMatchObject({ organizationId: tester, status: 'active', roles: [] });
    const own = (await signedIn(['admin'], vendor)).token;
    const bob = await create(own, { name: 'Bob' });
    expect(bob.organizationId).toBe(vendor);
    expect((await plane.get(`/v1/people/${bob.id}`, own)).json()).toEqual(bob);
    expect((await plane.get('/v1/people', own)).text).not.toContain(ada.id);
    expect((await plane.get(`/v1/people/${ada.id}`, own)).status).toBe(404);
    expect(await audited(`person:${ada.id}`)).toEqual(['person.created success']);
  });

  test.each<[string, object, number]>([
    ['without a name', {}, 400],
    ['with an address that is none', { name: 'x', email: 'x' }, 400],
    ['with a role', { name: 'x', roles: ['admin'] }, 400],
    ['in an organization that is not there', { name: 'x', organizationId: 'x' }, 422],
    ['with a line break in the name', { name: 'x\ny' }, 400],
  ])('is not made %s', async (_, body, status) => {
    const count = async () => (await db.sql('select 1 from people')).length;
    const before = await count();
    expect((await plane.post('/v1/people', body, admin)).status).toBe(status);
    expect(await count()).toBe(before);
  });

  test('is not made in another organization by the administrator of one', async () => {
    const own = (await signedIn(['admin'], vendor)).token;
    const [foreign, absent] = [tester, '01900000-0000-7000-8000-000000000000'];
    const answers = await Promise.all(
      [foreign, absent].map((organizationId) => plane.post('/v1/people', { name: 'x', organizationId }, own)),
    );
    expect(answers.map(({ status }) => status)).toEqual([422, 422]);
    expect(answers[0]!.json()).toMatchObject({ detail: answers[1]!.json()['detail'] });
  });
});

describe('an invitation', () => {
  test('is for whoever has nothing yet, is shown once, and makes the one before worthless', async () => {
    const ada = await create(admin, { name: 'Ada' });
    const answer = await plane.post(`/v1/people/${ada.id}/invitations`, {}, admin);
    expect(answer.status).toBe(201);
    const { code } = answer.json<{ code: string }>();
    expect(code).toMatch(/^tmi1_[0-9A-Za-z]{14}_[0-9A-Za-z]{49}$/);
    expect(await db.dump()).not.toContain(code.split('_').at(-1));
    await plane.post(`/v1/people/${ada.id}/invitations`, {}, admin);
    const open = await db.sql('select 1 from invitations where person_id = $1 and used_at is null', [ada.id]);
    expect(open).toHaveLength(1);
    expect(await audited(`person:${ada.id}`)).toEqual([
      'person.created success',
      'person.invited success',
      'person.invited success',
    ]);
  });

  test('takes a second person for whoever has a role: it would be a second key to it', async () => {
    const { person } = await signedIn(['officer']);
    const answer = await plane.post(`/v1/people/${person.personId}/invitations`, {}, admin);
    expect(answer.status).toBe(202);
    expect(await db.sql('select 1 from invitations where person_id = $1', [person.personId])).toEqual([]);
    const { approvalId, digest } = answer.json<{ approvalId: string; digest: string }>();
    const path = `/v1/approvals/${approvalId}/approve`;
    expect(problem(await plane.post(path, { digest }, admin))).toEqual({ status: 403, type: 'forbidden' });
    const { token } = await signedIn(['approver']);
    const done = (await plane.post(path, { digest }, token)).json<{ invitation: { code: string } }>();
    expect(done.invitation.code).toMatch(/^tmi1_/);
    expect(await audited(`person:${person.personId}`)).toEqual(['person.invited success']);
  });

  test('is refused for whoever was removed, and of another organization for an absent one', async () => {
    const ada = await create(admin, { name: 'Ada' });
    await remove(ada.id, admin);
    const answer = await plane.post(`/v1/people/${ada.id}/invitations`, {}, admin);
    expect(problem(answer)).toEqual({ status: 409, type: 'personRemoved' });
    const own = (await signedIn(['admin'], vendor)).token;
    expect((await plane.post(`/v1/people/${ada.id}/invitations`, {}, own)).status).toBe(404);
  });
});

describe('removing a person', () => {
  test('ends every session and token of hers at once and for good, and names the machine tokens that go on', async () => {
    const { person, token } = await signedIn(['admin', 'officer']);
    const body = (kind: string) => ({ name: kind, kind, roles: ['officer'] });
    const personal = (await plane.post('/v1/tokens', body('personal'), token)).json<{ token: string }>();
    const machine = (await plane.post('/v1/tokens', body('machine'), token)).json<{ id: string; token: string }>();
    const answer = await remove(person.personId, admin);
    expect(answer.json()).toMatchObject({ status: 'revoked', machineTokens: [machine.id] });
    const works = async (one: string) => (await plane.get('/v1/session', one)).status;
    expect([await works(token), await works(personal.token), await works(machine.token)]).toEqual([401, 401, 200]);
    // Also by the log alone, and whatever is written after it.
    const fresh = await db.follower();
    await fresh.start();
    expect(fresh.index.person(person.personId)?.status).toBe('revoked');
    expect(fresh.index.token(token.split('_')[1]!)?.status).toBe('revoked');
    expect((await plane.get(`/v1/people/${person.personId}`, admin)).json()).toMatchObject({ status: 'revoked' });
    // Again answers the same.
    expect((await remove(person.personId, admin)).json()).toEqual(answer.json());
    expect(await audited(`person:${person.personId}`)).toEqual(['person.removed success']);
  });

  test('is refused of oneself, without the right, and of nobody', async () => {
    const { person, token } = await signedIn(['admin']);
    expect(problem(await remove(person.personId, token))).toEqual({ status: 409, type: 'removesSelf' });
    const auditor = (await signedIn(['auditor'])).token;
    expect((await remove(person.personId, auditor)).status).toBe(403);
    const foreign = (await signedIn(['admin'], vendor)).token;
    expect((await remove(person.personId, foreign)).status).toBe(404);
    expect((await plane.get('/v1/session', token)).status).toBe(200);
  });
});

describe('who writes to the database by hand', () => {
  test('makes no person, no role and revives nobody', async () => {
    const { person, token } = await signedIn(['auditor']);
    const planted = '01900000-0000-7000-8000-00000000aaaa';
    await db.tamper(
      `insert into people (id, organization_id, name, mac) select $1, organization_id, 'Mallory', mac from people where id = $2`,
      [planted, person.personId],
    );
    expect((await plane.get(`/v1/people/${planted}`, admin)).status).toBe(404);
    expect((await plane.get('/v1/people?limit=200', admin)).text).not.toContain('Mallory');
    expect(problem(await plane.post(`/v1/people/${planted}/invitations`, {}, admin)).status).toBe(409);
    await db.tamper(
      `insert into status_changes (seq, kind, subject, status, at, mac)
       select seq + 1, 'role', $1, 'granted', now(), mac from status_counter`,
      [`${person.personId}:admin`],
    );
    await db.tamper('update status_counter set seq = seq + 1');
    const fresh = await db.follower();
    await expect(fresh.start()).rejects.toMatchObject({ code: 'statusMac' });
    expect(fresh.index.person(person.personId)?.roles.has('admin')).not.toBe(true);
    expect((await plane.get('/v1/session', token)).json()).toMatchObject({ roles: ['auditor'] });
  });
});
