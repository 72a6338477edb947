import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseOidcSettings, type OidcSettings } from '#apps/api';
import type { AuthorityContext } from '#authority';
import { ManualClock } from '#kernel';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { startOidcProvider, type TestOidcProvider } from '../harness/oidc-provider.js';
import { makePerson, removePerson, sessionOf } from '../harness/people.js';
import { planeOf, type Answer, type ApiPlane } from './plane.js';

const CALLBACK = 'https://localhost:2/sign-in/oidc/callback';
const clock = new ManualClock(new Date());
let db: TestDatabase;
let api: AuthorityContext;
let provider: TestOidcProvider;
let settings: OidcSettings;
let plane: ApiPlane;

beforeAll(async () => {
  db = await startTestDatabase({ clock });
  api = await db.context('api');
  provider = await startOidcProvider(CALLBACK);
  settings = settingsOf(provider);
  plane = await planeOf(api, { oidc: settings });
});
afterAll(async () => {
  await plane.close();
  await provider.stop();
  await db.stop();
});

function settingsOf({ issuer, clientId, clientSecret }: TestOidcProvider, more: object = {}): OidcSettings {
  const mapping = [
    { claim: 'tm-admin', roles: ['admin'] },
    { claim: 'tm-approver', roles: ['approver', 'auditor'] },
  ];
  const file = { issuer, clientId, clientSecret, mapping, allowInsecureIssuer: true, ...more };
  return parseOidcSettings(JSON.stringify(file), 'oidc.json');
}

interface Begun {
  location: string;
  cookie: string;
}
const cookiesOf = (answer: Answer): string[] => [answer.headers['set-cookie'] ?? []].flat().map(String);

async function begin(on: ApiPlane = plane): Promise<Begun> {
  const answer = await on.get('/sign-in/oidc');
  expect(answer.status).toBe(302);
  const [cookie = ''] = cookiesOf(answer);
  return { location: String(answer.headers['location']), cookie: cookie.split(';')[0]! };
}

const finish = (back: URL, cookie: string, on: ApiPlane = plane) =>
  on.get(`${back.pathname}${back.search}`, undefined, cookie === '' ? {} : { cookie });

async function signIn(sub: string, roles: unknown, claims: object = {}, on: ApiPlane = plane): Promise<Answer> {
  provider.user = { sub, claims: { name: 'Ada', touchmark_roles: roles, ...claims } };
  const { location, cookie } = await begin(on);
  return finish(await provider.browse(location), cookie, on);
}

async function who(answer: Answer) {
  const session = cookiesOf(answer).find((one) => one.startsWith('__Host-touchmark='))!;
  const reply = await plane.get('/v1/session', undefined, { cookie: session.split(';')[0]! });
  return reply.json<{ person: { id: string }; roles: string[]; organization: { kind: string } }>();
}
const sessionIn = (answer: Answer): boolean => cookiesOf(answer).some((one) => /^__Host-touchmark=./.test(one));
const problem = (answer: Answer) => ({
  status: answer.status,
  type: answer.json<{ type: string }>().type.replace('urn:touchmark:problem:', ''),
});
async function administrator() {
  const person = await makePerson(db, ['admin']);
  return { person, token: await sessionOf(db, person) };
}
const people = async (): Promise<number> => (await db.sql('select 1 from people')).length;
const audited = async (subject: string): Promise<string[]> =>
  (
    await db.sql<{ what: string }>(
      `select action || ' ' || outcome as what from audit where subject = $1 order by id`,
      [subject],
    )
  ).map(({ what }) => what);

describe('an account of the issuer', () => {
  test('is asked for with PKCE, state and nonce, and bound to the browser', async () => {
    const answer = await plane.get('/sign-in/oidc');
    const url = new URL(String(answer.headers['location']));
    expect(url.origin).toBe(provider.issuer);
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      response_type: 'code',
      client_id: 'touchmark',
      redirect_uri: CALLBACK,
      code_challenge_method: 'S256',
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      state: expect.stringMatching(/^[\w-]{32}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
    });
    expect(cookiesOf(answer)[0]).toMatch(
      /^__Host-touchmark-sign-in=[\w-]{43}; Max-Age=600; SameSite=Lax; Path=\/; Secure; HttpOnly$/,
    );
    // What it must come back with is sealed.
    expect(await db.dump()).not.toContain(url.searchParams.get('nonce'));
  });

  test('makes a person at the first sign-in, finds her at the next, and its claims decide her roles each time', async () => {
    const first = await signIn('ada', ['tm-admin', 'other'], { email: 'ada@example.org', email_verified: true });
    expect({ status: first.status, to: first.headers['location'] }).toEqual({ status: 303, to: '/sign-in' });
    const ada = await who(first);
    expect(ada).toMatchObject({ roles: ['admin'], organization: { kind: 'authority' } });
    const before = await people();
    const second = await signIn('ada', 'tm-approver');
    expect(await who(second)).toMatchObject({ person: { id: ada.person.id }, roles: ['approver', 'auditor'] });
    // The older session has lost what she lost.
    expect((await who(first)).roles).toEqual(['approver', 'auditor']);
    expect(await people()).toBe(before);
    expect(await audited(`person:${ada.person.id}`)).toEqual([
      'person.created success',
      'role.granted success',
      'person.signedIn success',
      'role.withdrawn success',
      'role.granted success',
      'role.granted success',
      'person.signedIn success',
    ]);
  });

  test.each<[string, unknown]>([
    ['no claim', undefined],
    ['an empty claim', []],
    ['a claim that no rule names', ['tm-nobody']],
    ['a claim of another form', { 'tm-admin': true }],
  ])('with %s is refused, and nothing is made', async (_, roles) => {
    const before = await people();
    const answer = await signIn(`nobody ${String(roles)}`, roles);
    expect(problem(answer)).toEqual({ status: 403, type: 'noRoleMapped' });
    expect([await people(), sessionIn(answer)]).toEqual([before, false]);
    expect(await audited(`account:nobody ${String(roles)}`)).toEqual(['person.signedIn refused']);
  });

  test('that lost every role loses them here too, and is refused', async () => {
    const first = await signIn('bob', 'tm-admin');
    const bob = await who(first);
    expect(problem(await signIn('bob', []))).toEqual({ status: 403, type: 'noRoleMapped' });
    expect((await who(first)).roles).toEqual([]);
    expect(await audited(`person:${bob.person.id}`)).toContain('role.withdrawn success');
  });

  test('is access, also without roles: one person alone invites nobody into it, since the issuer gives the roles back', async () => {
    const { token: admin } = await administrator();
    const carol = (await who(await signIn('carol', 'tm-approver'))).person;
    for (const role of ['approver', 'auditor']) {
      const url = `/v1/people/${carol.id}/roles/${role}`;
      expect((await plane.send({ method: 'DELETE', url }, admin)).status).toBe(200);
    }
    const answer = await plane.post(`/v1/people/${carol.id}/invitations`, {}, admin);
    expect({ status: answer.status, text: answer.text }).toEqual({
      status: 202,
      text: expect.not.stringContaining('tmi1_'),
    });
    expect(await db.sql('select 1 from invitations where person_id = $1', [carol.id])).toEqual([]);
  });

  test('of a removed person stays out', async () => {
    const gone = await who(await signIn('eve', 'tm-admin'));
    await removePerson(db, gone.person.id);
    const answer = await signIn('eve', 'tm-admin');
    expect([answer.status, sessionIn(answer)]).toEqual([401, false]);
  });

  test('put on another person by hand lets nobody in as her', async () => {
    const boss = await who(await signIn('boss', 'tm-admin'));
    await signIn('mallory', 'tm-approver');
    await db.tamper(`update people set oidc_subject = 'gone' where oidc_subject = 'mallory'`);
    await db.tamper(`update people set oidc_subject = 'mallory' where id = $1`, [boss.person.id]);
    const answer = await signIn('mallory', 'tm-approver');
    expect([answer.status, sessionIn(answer)]).toEqual([401, false]);
  });

  test('belongs to the organization that the mapping names, and to none where two are named', async () => {
    const [vendor] = await db.sql<{ id: string }>(
      `insert into organizations (id, kind, name) values ('01900000-0000-7000-8000-00000000cafe', 'vendor', 'V') returning id`,
    );
    const mapping = [
      { claim: 'dev', organizationId: vendor!.id, roles: ['developer'] },
      { claim: 'tm-admin', roles: ['admin'] },
    ];
    const own = await planeOf(api, { oidc: settingsOf(provider, { mapping }) });
    try {
      expect(await who(await signIn('dana', ['dev'], {}, own))).toMatchObject({
        roles: ['developer'],
        organization: { kind: 'vendor' },
      });
      expect(problem(await signIn('both', ['dev', 'tm-admin'], {}, own)).type).toBe('noRoleMapped');
      // Who belongs to one organization gets nothing in another.
      expect(problem(await signIn('dana', ['tm-admin'], {}, own)).type).toBe('noRoleMapped');
    } finally {
      await own.close();
    }
  });

  test('whose claims are told by the userinfo endpoint alone is asked about there', async () => {
    const other = await startOidcProvider(CALLBACK, { claimsInIdToken: false });
    const own = await planeOf(api, { oidc: settingsOf(other) });
    try {
      other.user = { sub: 'una', claims: { touchmark_roles: ['tm-admin'] } };
      const { location, cookie } = await begin(own);
      expect(await who(await finish(await other.browse(location), cookie, own))).toMatchObject({ roles: ['admin'] });
    } finally {
      await own.close();
      await other.stop();
    }
  });
});

describe('an answer that is not believed signs nobody in', () => {
  const attempt = { status: 400, type: 'signInAttempt' };

  test('a second time', async () => {
    provider.user = { sub: 'ada', claims: { touchmark_roles: 'tm-admin' } };
    const { location, cookie } = await begin();
    const back = await provider.browse(location);
    expect((await finish(back, cookie)).status).toBe(303);
    expect(problem(await finish(back, cookie))).toEqual(attempt);
  });

  test('in another browser than began, nor afterwards in the right one', async () => {
    const { location, cookie } = await begin();
    const back = await provider.browse(location);
    expect(problem(await finish(back, ''))).toEqual(attempt);
    expect(problem(await finish(back, cookie))).toEqual(attempt);
    const again = await begin();
    const other = await begin();
    expect(problem(await finish(await provider.browse(again.location), other.cookie))).toEqual(attempt);
  });

  test('after ten minutes', async () => {
    const { location, cookie } = await begin();
    const back = await provider.browse(location);
    clock.advance(600_000);
    expect(problem(await finish(back, cookie))).toEqual(attempt);
  });

  test.each<[string, (back: URL) => void]>([
    ['with another state', (back) => back.searchParams.set('state', 'A'.repeat(32))],
    ['without state', (back) => back.searchParams.delete('state')],
    ['with a state that can be none', (back) => back.searchParams.set('state', "' or 1=1 --")],
  ])('%s', async (_, change) => {
    const { location, cookie } = await begin();
    const back = await provider.browse(location);
    change(back);
    const answer = await finish(back, cookie);
    expect(problem(answer)).toEqual(attempt);
    expect(sessionIn(answer)).toBe(false);
  });

  test.each<[string, (back: URL) => void]>([
    ['with another code', (back) => back.searchParams.set('code', 'x'.repeat(43))],
    ['without code', (back) => back.searchParams.delete('code')],
    ['from another issuer', (back) => back.searchParams.set('iss', 'https://evil.example')],
    ['without its issuer', (back) => back.searchParams.delete('iss')],
    ['with an error', (back) => back.searchParams.set('error', 'access_denied')],
  ])('%s', async (_, change) => {
    const { location, cookie } = await begin();
    const back = await provider.browse(location);
    change(back);
    const answer = await finish(back, cookie);
    expect(problem(answer)).toEqual({ status: 401, type: 'unauthenticated' });
    expect(sessionIn(answer)).toBe(false);
  });

  test.each<[string, (claims: Record<string, unknown>) => void, boolean]>([
    ['with an ID token that somebody changed', (claims) => (claims['touchmark_roles'] = ['tm-admin']), false],
    ['with an ID token signed by nobody', (claims) => (claims['touchmark_roles'] = ['tm-admin']), true],
  ])('%s', async (_, change, unsigned) => {
    provider.tamper = (body) => {
      const json = JSON.parse(body) as { id_token: string };
      const [head, payload, signature] = json.id_token.split('.') as [string, string, string];
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
      change(claims);
      const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
      const changed = unsigned
        ? `${encode({ alg: 'none' })}.${encode(claims)}.`
        : `${head}.${encode(claims)}.${signature}`;
      return JSON.stringify({ ...json, id_token: changed });
    };
    try {
      const before = await people();
      const answer = await signIn('forger', []);
      expect([answer.status, sessionIn(answer), await people()]).toEqual([401, false, before]);
    } finally {
      provider.tamper = undefined;
    }
  });

  test('with an ID token well signed, but of another sign-in', async () => {
    let seen = '';
    provider.tamper = (body) => {
      const json = JSON.parse(body) as { id_token: string };
      if (seen === '') seen = json.id_token;
      return JSON.stringify({ ...json, id_token: seen });
    };
    try {
      expect((await signIn('ada', 'tm-admin')).status).toBe(303);
      const answer = await signIn('mallory2', 'tm-approver');
      expect([answer.status, sessionIn(answer)]).toEqual([401, false]);
    } finally {
      provider.tamper = undefined;
    }
  });

  test.each([
    ['longer than 255 characters', 'x'.repeat(256)],
    ['with a line break', 'x\ny'],
    ['not of ASCII', 'x\u{1f600}'],
  ])('with a subject %s', async (_, sub) => {
    const before = await people();
    const answer = await signIn(sub, 'tm-admin');
    expect([answer.status, sessionIn(answer), await people()]).toEqual([401, false, before]);
  });

  test('with an answer of more than a quarter megabyte', async () => {
    provider.tamper = (body) => JSON.stringify({ ...(JSON.parse(body) as object), filler: 'x'.repeat(300_000) });
    try {
      expect((await signIn('ada', 'tm-admin')).status).toBe(401);
    } finally {
      provider.tamper = undefined;
    }
  });
});

describe('the issuer', () => {
  test('that does not answer holds nobody up for more than some seconds, and is tried again', async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const issuer = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const own = await planeOf(api, { oidc: settingsOf({ ...provider, issuer }) });
    try {
      const from = performance.now();
      const answer = await own.get('/sign-in/oidc');
      expect(problem(answer)).toEqual({ status: 503, type: 'unavailable' });
      expect(performance.now() - from).toBeLessThan(8_000);
    } finally {
      await own.close();
      silent.closeAllConnections();
      silent.close();
    }
  });

  test.each<[string, object]>([
    ['plain HTTP', { issuer: 'http://id.example', allowInsecureIssuer: true }],
    ['plain HTTP on loopback without saying so', { allowInsecureIssuer: false }],
    ['an unknown role', { mapping: [{ claim: 'x', roles: ['root'] }] }],
    ['no mapping', { mapping: [] }],
    ['an unknown member', { clientSecrets: 'x' }],
    ['a scope without openid', { scope: 'profile' }],
  ])('is not configured with %s, and the refusal holds no secret', (_, more) => {
    const configure = () => settingsOf(provider, more);
    expect(configure).toThrow(/^oidc\.json: /);
    expect(configure).not.toThrow(provider.clientSecret);
  });
});
