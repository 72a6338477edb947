import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { AuthorityContext } from '#authority';
import { ManualClock } from '#kernel';
import type { Role } from '#policy';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeBootstrap, makePerson, removePerson, sessionOf, withdrawRole } from '../harness/people.js';
import { planeOf, type Answer, type ApiPlane } from './plane.js';

const clock = new ManualClock(new Date());
let db: TestDatabase;
let api: AuthorityContext;
let plane: ApiPlane;
let admin: string;
let provider: string;

interface Token {
  id: string;
  token: string;
  status: string;
  roles: string[];
  [member: string]: unknown;
}

beforeAll(async () => {
  db = await startTestDatabase({ clock });
  api = await db.context('api');
  plane = await planeOf(api);
  admin = (await signedIn(['admin', 'officer'])).token;
  const made = await plane.post('/v1/organizations', { name: 'A provider', kind: 'provider', country: 'CH' }, admin);
  provider = made.json<{ id: string }>().id;
});
afterAll(async () => {
  await plane.close();
  await db.stop();
});

async function signedIn(roles: readonly Role[], organizationId?: string) {
  const person = await makePerson(db, roles, organizationId);
  return { person, token: await sessionOf(db, person) };
}

const machine = (roles: string[], more: object = {}) => ({ name: 'CI', kind: 'machine', roles, ...more });

async function issue(token: string, body: object): Promise<Token> {
  const answer = await plane.post('/v1/tokens', body, token);
  expect({ status: answer.status, text: answer.text }).toMatchObject({ status: 201 });
  return answer.json<Token>();
}

const works = async (token: string): Promise<boolean> => (await plane.get('/v1/session', token)).status === 200;
const problem = (answer: Answer) => ({
  status: answer.status,
  type: answer.json<{ type: string }>().type.replace('urn:touchmark:problem:', ''),
});
const refusals = async (action: string): Promise<number> => {
  const [row] = await db.sql<{ n: number }>(
    `select count(*)::int as n from audit where action = $1 and outcome = 'refused'`,
    [action],
  );
  return row!.n;
};
const tokens = async (): Promise<number> => (await db.sql('select 1 from operator_tokens')).length;

describe('a token for a program', () => {
  test('is shown once, does what its roles may, and is nowhere readable again', async () => {
    const made = await issue(admin, machine(['officer']));
    expect(made).toMatchObject({ kind: 'machine', roles: ['officer'], status: 'active' });
    expect((await plane.get('/v1/apps', made.token)).status).toBe(200);
    expect((await plane.get('/v1/people', made.token)).status).toBe(403);
    const listed = await plane.get('/v1/tokens', admin);
    expect(listed.text).toContain(made.id);
    expect(listed.text).not.toContain(made.token.split('_').at(-1));
    expect(await db.dump()).not.toContain(made.token.split('_').at(-1));
  });

  test('of another organization is made by the authority, within what its maker may do itself', async () => {
    const made = await issue(admin, machine(['checker'], { organizationId: provider }));
    expect(made['organizationId']).toBe(provider);
    expect((await plane.form('/v1/introspect', { token: 'x' }, made.token)).status).toBe(200);
    const onlyAdmin = (await signedIn(['admin'])).token;
    const before = await tokens();
    const answer = await plane.post('/v1/tokens', machine(['checker'], { organizationId: provider }), onlyAdmin);
    expect(problem(answer)).toEqual({ status: 403, type: 'rolesBeyondOwn' });
    expect(await tokens()).toBe(before);
  });

  test.each<[string, Role[], object, number, string]>([
    ['a role that its maker does not have', ['admin'], machine(['officer']), 403, 'rolesBeyondOwn'],
    ['the role approver', ['admin', 'approver'], machine(['approver']), 403, 'machineApprover'],
    ['a role that the organization does not have', ['admin'], machine(['developer']), 422, 'invalid'],
    ['no role', ['admin'], machine([]), 400, 'malformed'],
    [
      'an end that lies too far off',
      ['admin'],
      machine(['admin'], { expiresAt: '2099-01-01T00:00:00Z' }),
      422,
      'invalid',
    ],
    ['an end in the past', ['admin'], machine(['admin'], { expiresAt: '2020-01-01T00:00:00Z' }), 422, 'invalid'],
    ['an organization that is not there', ['admin'], machine(['admin'], { organizationId: 'x' }), 422, 'invalid'],
    ['no right to manage tokens', ['officer'], machine(['officer']), 403, 'forbidden'],
    ['the kind of the first start', ['admin'], machine(['admin'], { kind: 'bootstrap' }), 400, 'malformed'],
  ])('is not made with %s; the try is recorded and nothing is there', async (_, roles, body, status, type) => {
    const { token } = await signedIn(roles);
    const [before, recorded] = [await tokens(), await refusals('token.issued')];
    expect(problem(await plane.post('/v1/tokens', body, token))).toEqual({ status, type });
    expect(await tokens()).toBe(before);
    // What cannot be read asks for nothing yet.
    expect(await refusals('token.issued')).toBe(recorded + (type === 'malformed' ? 0 : 1));
  });

  test('makes and rotates no tokens itself, whatever its roles', async () => {
    const made = await issue(admin, machine(['admin']));
    expect(problem(await plane.post('/v1/tokens', machine(['admin']), made.token))).toEqual({
      status: 403,
      type: 'machineMakesToken',
    });
    const rotated = await plane.post(`/v1/tokens/${made.id}/rotate`, { overlapSeconds: 1 }, made.token);
    expect(problem(rotated)).toEqual({ status: 403, type: 'machineMakesToken' });
  });

  test('is not its maker: her own tokens are not there for it', async () => {
    const { token } = await signedIn(['admin', 'officer']);
    const own = await issue(token, { name: 'Laptop', kind: 'personal', roles: ['officer'] });
    const made = await issue(token, machine(['officer']));
    expect((await plane.post(`/v1/tokens/${own.id}/revoke`, {}, made.token)).status).toBe(404);
    expect(await works(own.token)).toBe(true);
  });

  test('names who answers for it', async () => {
    const { person, token } = await signedIn(['admin']);
    const made = await issue(token, machine(['admin']));
    expect(made).toMatchObject({ createdBy: person.personId, personId: null });
  });
});

describe('a personal token', () => {
  test('stands for its person and loses what she loses, at once', async () => {
    const { person, token } = await signedIn(['officer', 'auditor']);
    const made = await issue(token, { name: 'laptop', kind: 'personal', roles: ['officer', 'auditor'] });
    expect((await plane.get('/v1/audit/events', made.token)).status).toBe(200);
    await withdrawRole(db, person.personId, 'auditor');
    expect((await plane.get('/v1/audit/events', made.token)).status).toBe(403);
    await removePerson(db, person.personId);
    expect(await works(made.token)).toBe(false);
  });

  test('is nothing for a program or the token of the first start', async () => {
    const boot = await makeBootstrap(db);
    expect(boot.tokenId).toBeDefined();
    const answer = await plane.post('/v1/tokens', { name: 'x', kind: 'personal', roles: ['admin'] }, boot.text);
    expect(problem(answer)).toEqual({ status: 422, type: 'invalid' });
  });

  test('is seen, rotated and revoked by its person without any other right', async () => {
    const { token } = await signedIn(['officer']);
    const made = await issue(token, { name: 'laptop', kind: 'personal', roles: ['officer'] });
    const listed = (await plane.get('/v1/tokens?kind=personal', token)).json<{ items: Token[] }>();
    expect(listed.items.map(({ id }) => id)).toEqual([made.id]);
    const next = await plane.post(`/v1/tokens/${made.id}/rotate`, { overlapSeconds: 0 }, token);
    expect(next.status).toBe(201);
    expect(await works(made.token)).toBe(false);
    expect((await plane.post(`/v1/tokens/${next.json<Token>().id}/revoke`, {}, token)).status).toBe(200);
    expect(await works(next.json<Token>().token)).toBe(false);
  });

  test('of a colleague is not there for who may not read tokens, and only looked at by who may not manage them', async () => {
    const made = await issue((await signedIn(['officer'])).token, { name: 'l', kind: 'personal', roles: ['officer'] });
    const officer = (await signedIn(['officer'])).token;
    const auditor = (await signedIn(['auditor'])).token;
    expect((await plane.get('/v1/tokens', officer)).text).not.toContain(made.id);
    expect((await plane.post(`/v1/tokens/${made.id}/revoke`, {}, officer)).status).toBe(404);
    expect((await plane.get('/v1/tokens', auditor)).text).toContain(made.id);
    expect((await plane.post(`/v1/tokens/${made.id}/revoke`, {}, auditor)).status).toBe(403);
    const answer = await plane.post(`/v1/tokens/${made.id}/rotate`, { overlapSeconds: 0 }, admin);
    expect(answer.status).toBe(403);
    expect(await works(made.token)).toBe(true);
  });
});

describe('rotation', () => {
  test('gives a successor with the same roles; both are good for the overlap, then the old one ends', async () => {
    const made = await issue(admin, machine(['officer']));
    const answer = await plane.post(`/v1/tokens/${made.id}/rotate`, { overlapSeconds: 60 }, admin);
    expect(answer.status).toBe(201);
    const next = answer.json<Token>();
    expect(next).toMatchObject({ roles: ['officer'], name: 'CI', predecessorId: made.id });
    expect([await works(made.token), await works(next.token)]).toEqual([true, true]);
    clock.advance(59_000);
    expect(await works(made.token)).toBe(true);
    clock.advance(1_000);
    expect([await works(made.token), await works(next.token)]).toEqual([false, true]);
    // The follower's own copy too, from the log alone.
    const other = await db.follower();
    await other.start();
    expect(other.index.token(made.id)).toMatchObject({ status: 'retiring', endsAt: expect.any(Date) });
  });

  test('happens once, and not to what is revoked', async () => {
    const made = await issue(admin, machine(['officer']));
    const rotate = () => plane.post(`/v1/tokens/${made.id}/rotate`, { overlapSeconds: 60 }, admin);
    const answers = await Promise.all([rotate(), rotate()]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409]);
    const other = await issue(admin, machine(['officer']));
    await plane.post(`/v1/tokens/${other.id}/revoke`, {}, admin);
    expect((await plane.post(`/v1/tokens/${other.id}/rotate`, { overlapSeconds: 60 }, admin)).status).toBe(409);
  });

  test('shows nobody a token with more than his own roles', async () => {
    const made = await issue(admin, machine(['officer']));
    const other = (await signedIn(['admin'])).token;
    const answer = await plane.post(`/v1/tokens/${made.id}/rotate`, { overlapSeconds: 60 }, other);
    expect(problem(answer)).toEqual({ status: 403, type: 'rolesBeyondOwn' });
  });
});

describe('the token of the first start', () => {
  test('is revoked only when somebody else can come in and administer', async () => {
    const alone = await startTestDatabase();
    const context = await alone.context('api');
    const own = await planeOf(context);
    try {
      const boot = await makeBootstrap(alone);
      const revoke = () => own.post(`/v1/tokens/${boot.tokenId}/revoke`, {}, boot.text);
      expect(problem(await revoke())).toEqual({ status: 409, type: 'lastAccess' });
      await makePerson(alone, ['admin']);
      // An administrator who has never signed in is nobody yet.
      expect(problem(await revoke())).toEqual({ status: 409, type: 'lastAccess' });
      await makePerson(alone, ['admin'], undefined, { issuer: 'https://id.example', subject: '1' });
      expect((await revoke()).status).toBe(200);
      expect((await own.get('/v1/session', boot.text)).status).toBe(401);
    } finally {
      await own.close();
      await alone.stop();
    }
  });
});

describe('the last use', () => {
  test('is written when the plane stops, and never in the way of a request', async () => {
    const own = await planeOf(api);
    const made = await issue(admin, machine(['officer']));
    const statement = `select last_used_at as at from operator_tokens where id = $1`;
    await own.get('/v1/session', made.token);
    expect((await db.sql(statement, [made.id]))[0]).toEqual({ at: null });
    await own.close();
    expect((await db.sql(statement, [made.id]))[0]).toEqual({ at: clock.now() });
  });
});

describe('who writes to the database by hand', () => {
  test('gives a token no role that it was not made with', async () => {
    const made = await issue(admin, machine(['officer']));
    await db.tamper(`update operator_tokens set roles = '{officer,admin}' where id = $1`, [made.id]);
    const fresh = await db.follower();
    await fresh.start();
    expect(fresh.index.token(made.id)).toBeUndefined();
    expect((await plane.get('/v1/people', made.token)).status).toBe(403);
  });

  test('gives the successor of a token no role, organization or person that the token was not made with', async () => {
    const first = await issue(admin, machine(['officer']));
    await db.tamper(`update operator_tokens set roles = '{officer,admin}' where id = $1`, [first.id]);
    const rotate = (id: string, token: string) => plane.post(`/v1/tokens/${id}/rotate`, { overlapSeconds: 60 }, token);
    expect((await rotate(first.id, admin)).json<Token>().roles).toEqual(['officer']);
    const second = await issue(admin, machine(['officer']));
    const { person, token } = await signedIn(['admin', 'officer']);
    await db.tamper(`update operator_tokens set kind = 'personal', created_by = null, person_id = $2 where id = $1`, [
      second.id,
      person.personId,
    ]);
    expect((await rotate(second.id, token)).json<Token>()).toMatchObject({ kind: 'machine', personId: null });
  });

  test('plants no token: a row of another one under a new id is unknown, and listed nowhere', async () => {
    const made = await issue(admin, machine(['officer']));
    const id = 'AAAAAAAAAAAAAA';
    await db.tamper(
      `insert into operator_tokens (id, organization_id, name, kind, roles, created_by, sealed_verifier, pepper_version, mac)
       select $2, organization_id, name, kind, roles, created_by, sealed_verifier, pepper_version, mac
       from operator_tokens where id = $1`,
      [made.id, id],
    );
    expect((await plane.get('/v1/tokens?limit=200', admin)).text).not.toContain(id);
    expect((await plane.post(`/v1/tokens/${id}/rotate`, { overlapSeconds: 1 }, admin)).status).toBe(409);
  });
});
