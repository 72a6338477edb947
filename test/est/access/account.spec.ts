import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AccountVerifier, createOrganization, registerDevice, resetDevice, type AuthorityContext } from '#authority';
import { loadConfig, ManualClock, systemClock } from '#kernel';
import { readCertificate, readCertsOnly } from '#pki';
import type { Device } from '#store';
import { startTestDatabase, type TestDatabase } from '../../harness/database.js';
import { newKey } from '../../harness/device.js';
import { makeProduct, type Product } from '../../harness/fixtures.js';
import { call } from '../../harness/http.js';
import { inStep, makeLabel } from '../../harness/manufacturer.js';
import { startOidcProvider, type TestOidcProvider } from '../../harness/oidc-provider.js';
import { makePerson, removePerson } from '../../harness/people.js';
import type { HttpsAnswer } from '../https-request.js';
import { counts, newestRefusal, openEst, plainCsr, type EstPlane } from './plane.js';

const CALLBACK = 'https://localhost:2/callback';
let db: TestDatabase;
let api: AuthorityContext;
let plane: EstPlane;
let product: Product;
let provider: TestOidcProvider;
let label: string;

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await openEst(db);
  product = await makeProduct(api, db.operator);
  provider = await startOidcProvider(CALLBACK);
  const trusted = { issuer: provider.issuer, audience: provider.clientId, maxAgeSeconds: 3600 };
  plane.est.accounts = new AccountVerifier(trusted, systemClock);
  label = await makeLabel(db, { authentication: ['account', 'apiKey'] });
});
afterAll(async () => {
  await plane?.close();
  await provider?.stop();
  await db?.stop();
});

/** An ID token, by the code flow with PKCE (RFC 7636). */
async function tokenOf(sub: string): Promise<string> {
  provider.user = { sub, claims: { name: 'Ada' } };
  const verifier = randomBytes(32).toString('base64url');
  const url = new URL(`${provider.issuer}/auth`);
  url.search = new URLSearchParams({
    ...{ client_id: provider.clientId, response_type: 'code', scope: 'openid', redirect_uri: CALLBACK, nonce: 'n' },
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  }).toString();
  const code = (await provider.browse(url.href)).searchParams.get('code') ?? '';
  const reply = await call(`${provider.issuer}/token`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `Basic ${Buffer.from(`${provider.clientId}:${provider.clientSecret}`).toString('base64')}`,
    },
    body: new URLSearchParams({
      ...{ grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: verifier },
    }).toString(),
  });
  return reply.json<{ id_token: string }>().id_token;
}

async function accountOf(roles: Parameters<typeof makePerson>[1], organizationId?: string) {
  const subject = randomUUID();
  const person = await makePerson(db, roles, organizationId, { issuer: provider.issuer, subject });
  await inStep(db);
  return { person, subject, token: await tokenOf(subject) };
}

const register = async (appId = product.appId): Promise<Device> =>
  (await registerDevice(api, db.operator, { appId })).device;

const ask = (token: string, { instanceId }: Pick<Device, 'instanceId'>): Promise<HttpsAnswer> =>
  plane.ask({
    label,
    headers: { authorization: `Bearer ${token}` },
    csr: plainCsr(newKey(), { san: [{ type: 'uri', value: `urn:uuid:${instanceId}` }] }),
  });

async function expectRefused(work: () => Promise<HttpsAnswer>, status: number, text: RegExp): Promise<void> {
  const [before, last] = [await counts(db), await newestRefusal(db)];
  const answer = await work();
  expect([answer.status, answer.headers['content-type']]).toEqual([status, 'text/plain; charset=utf-8']);
  expect(answer.text).toMatch(text);
  expect(await counts(db)).toEqual(before);
  expect((await newestRefusal(db))?.id).not.toBe(last?.id);
}

describe('a person with an account', () => {
  test('enrolls a registered device of the organization, once', async () => {
    const { person, token } = await accountOf(['officer']);
    const device = await register();
    const answer = await ask(token, device);
    expect([answer.status, answer.status === 200 ? '' : answer.text]).toEqual([200, '']);
    const [certificate] = readCertsOnly(Buffer.from(answer.text, 'base64'));
    expect(readCertificate(certificate!).san).toEqual([{ type: 'uri', value: `urn:uuid:${device.instanceId}` }]);
    const [row] = await db.sql<{ actor: string }>(
      `select actor from audit where action = 'certificate.requested' and outcome = 'success' order by id desc limit 1`,
    );
    expect(row?.actor).toBe(`person:${person.personId}`);
    await expectRefused(() => ask(token, device), 403, /has enrolled already/);
    await resetDevice(api, db.operator, device.id);
    await expectRefused(() => ask(token, device), 403, /has enrolled already/);
  });

  test('of another organization, or without the right, enrolls nothing', async () => {
    const device = await register();
    const testing = await createOrganization(api, db.operator, { name: randomUUID(), kind: 'testing' });
    const other = await accountOf(['officer'], testing.id);
    const absent = await ask(other.token, { instanceId: randomUUID() });
    await expectRefused(() => ask(other.token, device), 403, /no such device of your organization/);
    expect((await ask(other.token, device)).text).toBe(absent.text);
    const auditor = await accountOf(['auditor']);
    await expectRefused(() => ask(auditor.token, device), 403, /device:register/);
    await expectRefused(async () => ask(await tokenOf(randomUUID()), device), 403, /nobody here has this account/);
    const gone = await accountOf(['officer']);
    await removePerson(db, gone.person.personId);
    await inStep(db);
    await expectRefused(() => ask(gone.token, device), 403, /nobody here has this account/);
  });
});

describe('a token is refused', () => {
  test('where it is forged, or changed, or none', async () => {
    const { subject, token } = await accountOf(['officer']);
    const device = await register();
    const wrong = /^the token is wrong, expired or not meant/;
    const [head = '', body = '', signature = ''] = token.split('.');
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as JWTPayload;
    const { privateKey } = await generateKeyPair('ES256');
    const forged = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256' }).sign(privateKey);
    const other = Buffer.from(JSON.stringify({ ...claims, sub: `${subject}x` })).toString('base64url');
    for (const one of [forged, `${head}.${other}.${signature}`]) {
      await expectRefused(() => ask(one, device), 401, wrong);
    }
    for (const one of [new UnsecuredJWT(claims).encode(), `${head}.${body}`, 'opaque-token']) {
      const answer = await ask(one, device);
      expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, expect.stringContaining('Bearer')]);
    }
    expect((await ask(token, device)).status).toBe(200);
  });

  test('by its end, its age, whom it is for, its kind and its issuer; keys are asked for once', async () => {
    const clock = new ManualClock(new Date());
    const issuer = await startIssuer();
    try {
      const trusted = { issuer: issuer.url, audience: 'est', maxAgeSeconds: 600 };
      const verifier = new AccountVerifier(trusted, clock);
      const now = Math.floor(clock.now().getTime() / 1000);
      const good = { iss: issuer.url, sub: 'ada', aud: 'est', iat: now, exp: now + 3600 };
      const verify = async (claims: JWTPayload, header: object = {}) =>
        verifier.verify(await issuer.sign(claims, header));
      expect(await verify(good)).toEqual({ issuer: issuer.url, subject: 'ada' });
      expect(await verify({ ...good, aud: ['est', 'other'], azp: 'est' })).toBeDefined();
      expect(await verify(good, { typ: 'at+jwt' })).toBeDefined();
      for (const bad of [
        { ...good, exp: now - 31 },
        { ...good, iat: now - 700 },
        { ...good, nbf: now + 60 },
        { ...good, aud: 'other' },
        { ...good, aud: ['est', 'other'] },
        { ...good, azp: 'other' },
        { ...good, iss: 'https://issuer.example' },
        { ...good, sub: '' },
        { iss: issuer.url, aud: 'est', iat: now, exp: now + 60 },
        { iss: issuer.url, sub: 'ada', aud: 'est', iat: now },
      ]) {
        expect([bad, await verify(bad)]).toEqual([bad, undefined]);
      }
      expect(await verify(good, { typ: 'logout+jwt' })).toBeUndefined();
      const asked = issuer.asked();
      await verify(good);
      expect(issuer.asked()).toBe(asked);
      const secret = await new SignJWT(good)
        .setProtectedHeader({ alg: 'HS256' })
        .sign(Buffer.from(issuer.publicText()));
      expect(await verifier.verify(secret)).toBeUndefined();
    } finally {
      await issuer.stop();
    }
    const unreachable = new AccountVerifier({ issuer: issuer.url, audience: 'est', maxAgeSeconds: 600 }, clock);
    await expect(unreachable.verify('a.b.c')).rejects.toMatchObject({ kind: 'unavailable', retryAfter: 5 });
  });

  test('where nobody has said whose tokens count', async () => {
    expect(loadConfig({}).estAccounts).toBeUndefined();
    const issuer = 'https://id.example';
    expect(() => loadConfig({ TOUCHMARK_EST_ACCOUNT_ISSUER: issuer })).toThrow(/AUDIENCE must be set/);
    const plain = { TOUCHMARK_EST_ACCOUNT_ISSUER: 'http://id.example', TOUCHMARK_EST_ACCOUNT_AUDIENCE: 'est' };
    expect(() => loadConfig(plain)).toThrow(/https/);
    const { accounts } = plane.est;
    plane.est.accounts = undefined;
    const device = await register();
    const { token } = await accountOf(['officer']);
    await expectRefused(() => ask(token, device), 401, /the token is wrong/);
    plane.est.accounts = accounts;
  });
});

/** An issuer whose tokens may say anything. */
async function startIssuer() {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256', use: 'sig' };
  let asked = 0;
  const server: Server = createServer((request, response) => {
    asked += 1;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(request.url === '/keys' ? { keys: [jwk] } : { issuer: url, jwks_uri: `${url}/keys` }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    asked: () => asked,
    publicText: () => JSON.stringify(jwk),
    sign: (claims: JWTPayload, header: object) =>
      new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'one', ...header }).sign(privateKey),
    stop: () => new Promise<void>((resolve) => (server.closeAllConnections(), server.close(() => resolve()))),
  };
}
