import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { crc32 } from 'node:zlib';
import type { Actor, AuthorityContext } from '#authority';
import { encodeBase62, mintInvitation } from '#credential';
import { ManualClock } from '#kernel';
import type { Role } from '#policy';
import { Authenticator, type Lies } from '../harness/authenticator.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { grantRole, makePerson, makeToken, removePerson, sessionOf } from '../harness/people.js';
import { planeOf, type Answer, type ApiPlane } from './plane.js';

const ORIGIN = 'https://localhost:2';
const clock = new ManualClock(new Date());
let db: TestDatabase;
let api: AuthorityContext;
let plane: ApiPlane;
let admin: string;

interface Begun {
  attemptId: string;
  options: { challenge: string };
}
type Person = Actor & { personId: string };

beforeAll(async () => {
  db = await startTestDatabase({ clock });
  api = await db.context('api');
  plane = await planeOf(api);
  admin = await sessionOf(db, await makePerson(db, ['admin']));
});
afterAll(async () => {
  await plane.close();
  await db.stop();
});

const cookieOf = (answer: Answer): string => String([answer.headers['set-cookie']].flat()[0]).split(';')[0]!;
const withCookie = (cookie: string, headers: Record<string, string> = {}) => ({ cookie, ...headers });
const here = { 'sec-fetch-site': 'same-origin' };
const problem = (answer: Answer) => ({
  status: answer.status,
  type: answer.json<{ type: string }>().type.replace('urn:touchmark:problem:', ''),
});
const count = async (table: string): Promise<number> => (await db.sql(`select 1 from ${table}`)).length;
const failures = async (what: string): Promise<number> =>
  (
    await db.sql(
      `select 1 from audit where action = 'authentication.failed' and convert_from(canonical, 'UTF8') like $1`,
      [`%"what":"${what}"%`],
    )
  ).length;

/** A person with a passkey, made as a browser makes it. */
async function withPasskey(roles: readonly Role[] = ['auditor']) {
  const person = await makePerson(db, roles);
  const session = await sessionOf(db, person);
  const authenticator = new Authenticator(ORIGIN);
  const answer = await register(session, authenticator);
  expect(answer.status).toBe(201);
  return { person, session, authenticator };
}

async function register(session: string, authenticator: Authenticator, lies: Lies = {}): Promise<Answer> {
  const begun = (await plane.post('/v1/passkeys/options', {}, session)).json<Begun>();
  const response = authenticator.create(begun.options, lies);
  return plane.post('/v1/passkeys', { attemptId: begun.attemptId, name: 'Phone', response }, session);
}

async function signIn(authenticator: Authenticator, lies: Lies = {}): Promise<Answer> {
  const begun = (await plane.post('/sign-in/passkey/options', {})).json<Begun>();
  return plane.post('/sign-in/passkey', {
    attemptId: begun.attemptId,
    response: authenticator.get(begun.options, lies),
  });
}

describe('a passkey', () => {
  test('is asked for discoverable and with its user verified, made, listed, and signs in', async () => {
    const { person, session, authenticator } = await withPasskey();
    const begun = (await plane.post('/v1/passkeys/options', {}, session)).json<{ options: Record<string, unknown> }>();
    expect(begun.options).toMatchObject({
      rp: { id: 'localhost' },
      attestation: 'none',
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
      excludeCredentials: [{ id: authenticator.credentialId }],
    });
    expect((await plane.get('/v1/passkeys', session)).json()).toMatchObject({
      items: [{ id: authenticator.credentialId, status: 'active', name: 'Phone' }],
    });
    const answer = await signIn(authenticator);
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ person: { id: person.personId } });
    const flags = String(answer.headers['set-cookie']);
    expect(flags).toMatch(/^__Host-touchmark=tmo1_\w+; Max-Age=28800; SameSite=Strict; Path=\/; Secure; HttpOnly$/);
    expect(answer.text).not.toContain('tmo1_');
    const who = await plane.get('/v1/session', undefined, withCookie(cookieOf(answer)));
    expect(who.json()).toMatchObject({
      person: { id: person.personId },
      roles: ['auditor'],
      token: { kind: 'session' },
    });
    const events = await db.sql<{ detail: string }>(
      `select convert_from(canonical, 'UTF8') as detail from audit where action = 'person.signedIn' and subject = $1`,
      [`person:${person.personId}`],
    );
    expect(events).toHaveLength(1);
    expect(events[0]!.detail).toContain('"means":"passkey"');
  });

  test.each<[string, Lies]>([
    ['from a page of another origin', { origin: 'https://evil.example' }],
    ['for another host name', { rpId: 'evil.example' }],
    ['over another challenge', { challenge: 'AAAA' }],
    ['meant for a registration', { type: 'webauthn.create' }],
    ['without its user verified', { userVerified: false }],
    ['by another key', { otherKey: true }],
    ['with a counter that went back', { counter: 0 }],
    ['in the name of somebody else', { userHandle: Buffer.from('somebody').toString('base64url') }],
  ])('signs nobody in %s', async (_, lies) => {
    const { authenticator } = await withPasskey();
    authenticator.counter = 4;
    expect((await signIn(authenticator)).status).toBe(200);
    const [tokens, failed] = [await count('operator_tokens'), await failures('passkey')];
    const answer = await signIn(authenticator, lies);
    expect(problem(answer)).toEqual({ status: 401, type: 'unauthenticated' });
    expect(answer.headers['set-cookie']).toBeUndefined();
    expect([await count('operator_tokens'), await failures('passkey')]).toEqual([tokens, failed + 1]);
  });

  test.each<[string, Lies]>([
    ['from a page of another origin', { origin: 'https://evil.example' }],
    ['for another host name', { rpId: 'evil.example' }],
    ['over another challenge', { challenge: 'AAAA' }],
    ['without its user verified', { userVerified: false }],
  ])('is not taken %s', async (_, lies) => {
    const session = await sessionOf(db, await makePerson(db, []));
    const before = await count('passkeys');
    const answer = await register(session, new Authenticator(ORIGIN), lies);
    expect(problem(answer)).toEqual({ status: 422, type: 'passkeyRefused' });
    expect(await count('passkeys')).toBe(before);
  });

  test('answers an unknown one like a wrong one, and one challenge serves once', async () => {
    expect(problem(await signIn(new Authenticator(ORIGIN), { userHandle: 'AAAA' }))).toEqual({
      status: 401,
      type: 'unauthenticated',
    });
    const { authenticator } = await withPasskey();
    const begun = (await plane.post('/sign-in/passkey/options', {})).json<Begun>();
    const body = () => ({ attemptId: begun.attemptId, response: authenticator.get(begun.options) });
    expect((await plane.post('/sign-in/passkey', body())).status).toBe(200);
    expect((await plane.post('/sign-in/passkey', body())).status).toBe(401);
    const late = (await plane.post('/sign-in/passkey/options', {})).json<Begun>();
    clock.advance(600_000);
    const answer = await plane.post('/sign-in/passkey', {
      attemptId: late.attemptId,
      response: authenticator.get(late.options),
    });
    expect(answer.status).toBe(401);
  });

  test('is added in a session alone: a token of the command line makes itself no lasting way in', async () => {
    const { session } = await withPasskey(['officer']);
    const body = { name: 'laptop', kind: 'personal', roles: ['officer'] };
    const { token } = (await plane.post('/v1/tokens', body, session)).json<{ token: string }>();
    expect(problem(await plane.post('/v1/passkeys/options', {}, token))).toEqual({ status: 403, type: 'needsSession' });
  });

  test('is not taken by another person than began, nor a second time', async () => {
    const { authenticator } = await withPasskey();
    const other = await sessionOf(db, await makePerson(db, []));
    expect(problem(await register(other, authenticator))).toEqual({ status: 422, type: 'passkeyRefused' });
    const mine = await sessionOf(db, await makePerson(db, []));
    const begun = (await plane.post('/v1/passkeys/options', {}, mine)).json<Begun>();
    const response = new Authenticator(ORIGIN).create(begun.options);
    const answer = await plane.post('/v1/passkeys', { attemptId: begun.attemptId, name: 'x', response }, other);
    expect(problem(answer)).toEqual({ status: 422, type: 'passkeyRefused' });
  });

  test('ends when it is removed, by its person or an administrator, or its person is', async () => {
    const { session, authenticator } = await withPasskey();
    const url = `/v1/passkeys/${authenticator.credentialId}`;
    const stranger = await sessionOf(db, await makePerson(db, ['auditor']));
    expect((await plane.send({ method: 'DELETE', url }, stranger)).status).toBe(404);
    expect((await signIn(authenticator)).status).toBe(200);
    expect((await plane.send({ method: 'DELETE', url }, session)).status).toBe(200);
    expect((await signIn(authenticator)).status).toBe(401);

    const lost = await withPasskey();
    const lostUrl = `/v1/passkeys/${lost.authenticator.credentialId}`;
    expect((await plane.send({ method: 'DELETE', url: lostUrl }, admin)).status).toBe(200);
    expect((await signIn(lost.authenticator)).status).toBe(401);

    const gone = await withPasskey();
    await removePerson(db, gone.person.personId);
    expect((await signIn(gone.authenticator)).status).toBe(401);
  });

  test('is not removed by a program of its person', async () => {
    const { session, authenticator } = await withPasskey(['admin', 'officer']);
    const request = { name: 'CI', kind: 'machine', roles: ['officer'] };
    const { token } = (await plane.post('/v1/tokens', request, session)).json<{ token: string }>();
    const url = `/v1/passkeys/${authenticator.credentialId}`;
    expect((await plane.send({ method: 'DELETE', url }, token)).status).toBe(404);
    expect((await signIn(authenticator)).status).toBe(200);
  });

  test('takes the sessions of its person along, but for the one that removes it: one could make a new passkey', async () => {
    const { person, session, authenticator } = await withPasskey();
    const lost = cookieOf(await signIn(authenticator)).split('=')[1]!;
    const command = await makeToken(db, person, ['auditor']);
    const url = `/v1/passkeys/${authenticator.credentialId}`;
    expect((await plane.send({ method: 'DELETE', url }, session)).status).toBe(200);
    const status = async (token: string) => (await plane.get('/v1/session', token)).status;
    expect([await status(lost), await status(session), await status(command)]).toEqual([401, 200, 200]);
  });

  test('moved to another person by hand is not believed, nor one put in the place of its key', async () => {
    const { authenticator } = await withPasskey();
    const { person: boss } = await withPasskey(['admin']);
    await db.tamper('update passkeys set person_id = $1 where id = $2', [boss.personId, authenticator.credentialId]);
    expect((await signIn(authenticator, { userHandle: handle(boss) })).status).toBe(401);

    const victim = await withPasskey(['admin']);
    const own = await withPasskey();
    await db.tamper('update passkeys set public_key = (select public_key from passkeys where id = $1) where id = $2', [
      own.authenticator.credentialId,
      victim.authenticator.credentialId,
    ]);
    expect((await signIn(victim.authenticator)).status).toBe(401);
  });
});

const handle = (person: Person): string => Buffer.from(person.personId).toString('base64url');

describe('an invitation', () => {
  async function invited(): Promise<{ id: string; code: string }> {
    const { id } = (await plane.post('/v1/people', { name: 'Ada' }, admin)).json<{ id: string }>();
    const { code } = (await plane.post(`/v1/people/${id}/invitations`, {}, admin)).json<{ code: string }>();
    return { id, code };
  }
  const redeem = (code: string) => plane.post('/sign-in/invitation', { code });

  test('lets its person in once, who makes a passkey and is nothing else yet', async () => {
    const { id, code } = await invited();
    const answer = await redeem(code);
    expect(answer.json()).toMatchObject({ person: { id, name: 'Ada' } });
    const cookie = cookieOf(answer);
    const who = await plane.get('/v1/session', undefined, withCookie(cookie));
    expect(who.json()).toMatchObject({ roles: [], permissions: ['session'] });
    expect((await plane.get('/v1/keys', undefined, withCookie(cookie))).status).toBe(403);
    expect((await register(cookie.split('=')[1]!, new Authenticator(ORIGIN))).status).toBe(201);
    expect(problem(await redeem(code))).toEqual({ status: 401, type: 'unauthenticated' });
  });

  test('is won by one of two at once', async () => {
    const { code } = await invited();
    const answers = await Promise.all([redeem(code), redeem(code)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 401]);
  });

  test('ends with its time, with a newer one, and with its person', async () => {
    const first = await invited();
    await plane.post(`/v1/people/${first.id}/invitations`, {}, admin);
    expect((await redeem(first.code)).status).toBe(401);
    const second = await invited();
    await plane.send({ method: 'DELETE', url: `/v1/people/${second.id}` }, admin);
    expect((await redeem(second.code)).status).toBe(401);
    const third = await invited();
    clock.advance(3 * 86_400_000);
    expect((await redeem(third.code)).status).toBe(401);
    admin = await sessionOf(db, await makePerson(db, ['admin']));
  });

  test('ends what an earlier one opened: whoever used that is not who is let in now', async () => {
    const { id, code } = await invited();
    const stranger = cookieOf(await redeem(code));
    const again = await plane.post(`/v1/people/${id}/invitations`, {}, admin);
    const { code: second } = again.json<{ code: string }>();
    const own = cookieOf(await redeem(second));
    await grantRole(db, id, 'approver');
    const status = async (cookie: string) => (await plane.get('/v1/session', undefined, withCookie(cookie))).status;
    expect([await status(stranger), await status(own)]).toEqual([401, 200]);
  });

  test('is worth nothing once its person has a role: whoever made it alone could come in with what two granted', async () => {
    const { id, code } = await invited();
    await grantRole(db, id, 'admin');
    expect((await redeem(code)).status).toBe(401);
  });

  test('given to somebody else by hand lets nobody in', async () => {
    const { code } = await invited();
    const boss = await makePerson(db, []);
    const id = code.split('_')[1];
    await db.tamper('update invitations set person_id = $1 where id = $2', [boss.personId, id]);
    const answer = await redeem(code);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.headers['set-cookie']).toBeUndefined();
  });

  test('is guessed five times a minute at most, wherever from', async () => {
    const { code } = await invited();
    // The right id with another secret, and a checksum that fits.
    const guess = () => {
      const body = `${code.slice(0, 20)}${mintInvitation().text.slice(20, 63)}`;
      const crc = Buffer.alloc(4);
      crc.writeUInt32BE(crc32(body));
      return body + encodeBase62(crc, 6);
    };
    const answers = [];
    for (let tries = 0; tries < 6; tries++) answers.push((await redeem(guess())).status);
    expect(answers).toEqual([401, 401, 401, 401, 401, 429]);
    expect((await redeem(code)).status).toBe(429);
    clock.advance(60_000);
    expect((await redeem(code)).status).toBe(200);
  });
});

describe('the session of a browser', () => {
  async function cookie(roles: readonly Role[] = ['admin']): Promise<string> {
    return `__Host-touchmark=${await sessionOf(db, await makePerson(db, roles))}`;
  }
  const create = (headers: Record<string, string>) => plane.post('/v1/people', { name: 'x' }, undefined, headers);

  test('changes nothing for a page of another site', async () => {
    const one = await cookie();
    const cross = { status: 403, type: 'crossSite' };
    const before = await count('people');
    expect(problem(await create(withCookie(one)))).toEqual(cross);
    for (const site of ['cross-site', 'same-site', 'none']) {
      expect(problem(await create(withCookie(one, { 'sec-fetch-site': site })))).toEqual(cross);
    }
    expect(problem(await create(withCookie(one, { origin: 'https://evil.example', host: 'localhost:2' })))).toEqual(
      cross,
    );
    expect(
      problem(
        await create(withCookie(one, { ...here, 'sec-fetch-site': 'cross-site', origin: ORIGIN, host: 'localhost:2' })),
      ),
    ).toEqual(cross);
    expect(await count('people')).toBe(before);
    expect((await create(withCookie(one, here))).status).toBe(201);
    expect((await create(withCookie(one, { origin: ORIGIN, host: 'localhost:2' }))).status).toBe(201);
  });

  test('is not looked at where an Authorization header is sent', async () => {
    const answer = await plane.get('/v1/session', undefined, {
      ...withCookie(await cookie()),
      authorization: 'Bearer x',
    });
    expect(answer.status).toBe(401);
  });

  test('ends when it is signed out, and after its hours', async () => {
    const one = await cookie();
    const end = () => plane.send({ method: 'DELETE', url: '/v1/session', headers: withCookie(one, here) });
    const answer = await end();
    expect(answer.status).toBe(200);
    expect(String(answer.headers['set-cookie'])).toMatch(/^__Host-touchmark=; Max-Age=0/);
    expect((await end()).status).toBe(401);
    const other = await cookie();
    clock.advance(8 * 3600_000);
    expect((await plane.get('/v1/session', undefined, withCookie(other))).status).toBe(401);
  });

  test('a token that is no session does not sign out', async () => {
    const own = await sessionOf(db, await makePerson(db, ['admin']));
    const body = { name: 'CI', kind: 'machine', roles: ['admin'] };
    const { token } = (await plane.post('/v1/tokens', body, own)).json<{ token: string }>();
    const answer = await plane.send({ method: 'DELETE', url: '/v1/session' }, token);
    expect(problem(answer)).toEqual({ status: 409, type: 'notASession' });
  });
});

describe('signing in', () => {
  test('is not done for a page of another site', async () => {
    const answer = await plane.post('/sign-in/invitation', { code: 'x' }, undefined, {
      origin: 'https://evil.example',
    });
    expect(problem(answer)).toEqual({ status: 403, type: 'crossSite' });
  });

  test('begins so often from one address and no more', async () => {
    const begin = () => plane.send({ method: 'POST', url: '/sign-in/passkey/options', remoteAddress: '192.0.2.1' });
    const answers = [];
    for (let tries = 0; tries < 101; tries++) answers.push((await begin()).status);
    expect(answers.filter((status) => status === 200)).toHaveLength(100);
    expect(answers.at(-1)).toBe(429);
  });

  test('says nothing of an issuer where none is configured, and shows a page that loads nothing from elsewhere', async () => {
    expect((await plane.get('/sign-in/oidc')).status).toBe(404);
    expect((await plane.get('/sign-in/oidc/callback?code=x&state=y')).status).toBe(404);
    const page = await plane.get('/sign-in');
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(page.headers['content-security-policy']).toContain("default-src 'none'; script-src 'self'");
    expect(page.text).not.toMatch(/<script>|<style>|style="|\son[a-z]+="|https?:\/\//);
    expect(page.text).not.toContain('/sign-in/oidc');
    for (const path of ['script.js', 'style.css']) expect((await plane.get(`/sign-in/${path}`)).status).toBe(200);
  });
});
