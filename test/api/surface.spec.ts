import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createApi } from '#apps/api';
import { httpsRequest, type HttpsAnswer } from '../est/https-request.js';
import { selfSigned } from '../est/self-signed.js';
import { silentClients } from '../est/silent-clients.js';
import { offlineAuthority, type OfflineAuthority } from './offline-authority.js';

let offline: OfflineAuthority;
let app: Awaited<ReturnType<typeof createApi>>;
let base: string;
let notReady: string[] = [];
let lacks: string[] = [];
const lines: string[] = [];

beforeAll(async () => {
  offline = offlineAuthority();
  app = await createApi({
    config: offline.config,
    authority: offline.authority,
    tls: await selfSigned(),
    registry: new Registry(),
    log: pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }),
    readiness: () => Promise.resolve(notReady),
    degraded: () => lacks,
    urls: () => ({ est: 'https://localhost:1', api: 'https://localhost:2', status: 'http://localhost:3' }),
  });
  await app.listen(0, '127.0.0.1');
  base = `https://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`;
});

afterAll(() => app.close());

type Options = NonNullable<Parameters<typeof httpsRequest>[2]>;
const call = (method: string, path: string, options: Options = {}): Promise<HttpsAnswer> =>
  httpsRequest(base, path, { method, rejectUnauthorized: false, ...options });
const asOperator = (more: Record<string, string> = {}) => ({
  authorization: `Bearer ${offline.operatorToken}`,
  ...more,
});
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  call('POST', path, {
    headers: asOperator({ 'content-type': 'application/json', ...headers }),
    body: JSON.stringify(body),
  });

function expectProblem(answer: HttpsAnswer, status: number, code: string): Record<string, unknown> {
  expect({ status: answer.status, body: answer.text }).toMatchObject({ status });
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(answer.headers['cache-control']).toBe('no-store');
  const problem = JSON.parse(answer.text) as Record<string, unknown>;
  expect(problem).toMatchObject({ type: `urn:touchmark:problem:${code}`, status });
  expect(problem['instance']).toBe(`urn:touchmark:request:${String(answer.headers['x-request-id'])}`);
  return problem;
}

describe('connections', () => {
  it('closes connections that never finish a handshake, and those that never leave after an answer', async () => {
    const server = app.getHttpServer();
    expect(server.maxConnections).toBe(4096);
    const { handshakes, answered } = await silentClients(server);
    expect(Math.max(...handshakes)).toBeLessThan(14_000);
    expect(answered).toBeLessThan(3000);
  });
});

describe('who may call', () => {
  it('answers 401 with a challenge, one text for a missing, a malformed and an unknown token (TX10)', async () => {
    const texts = new Set<unknown>();
    for (const authorization of [
      undefined,
      'Bearer x',
      'Basic eDp5',
      `Bearer ${offline.operatorToken.slice(0, -1)}${offline.operatorToken.endsWith('0') ? '1' : '0'}`,
    ]) {
      const answer = await call('GET', '/v1/apps', { headers: authorization === undefined ? {} : { authorization } });
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer/);
      texts.add(expectProblem(answer, 401, 'unauthenticated')['detail']);
    }
    expect(texts.size).toBe(1);
  });

  it('refuses before it reads the body', async () => {
    expectProblem(await call('POST', '/v1/apps', { body: '{' }), 401, 'unauthenticated');
  });

  it('keeps what is for the authority alone from operators of others', async () => {
    const headers = { authorization: `Bearer ${offline.vendorToken}` };
    expectProblem(await call('GET', '/metrics', { headers }), 403, 'forbidden');
    expect((await call('GET', '/metrics', { headers: asOperator() })).text).toContain('touchmark_http_request_seconds');
  });

  it('refuses a credential in the query string, and logs no query (TX09)', async () => {
    const answer = await call('GET', `/v1/apps?access=${offline.apiKey}`, { headers: asOperator() });
    expectProblem(answer, 400, 'credentialInQuery');
    expect(lines.join('')).toContain('"route":"/v1/apps"');
    expect(lines.join('')).not.toContain(offline.apiKey.slice(26));
  });
});

describe('what is sent', () => {
  const key = { releaseId: 'x', audience: 'all', environment: 'live' };
  const cases: [string, string, unknown, string, string][] = [
    ['an unknown member', '/v1/keys', { ...key, extra: 1 }, 'extra', 'unknownMember'],
    [
      'an unknown member within a member',
      '/v1/keys',
      { ...key, audience: { providers: ['x'], more: 1 } },
      'audience.more',
      'unknownMember',
    ],
    ['a wrong type', '/v1/apps', { name: 7, vendorId: 'x' }, 'name', 'malformed'],
    ['a missing member', '/v1/apps', { name: 'x' }, 'vendorId', 'malformed'],
    ['a control character', '/v1/apps', { name: 'a\u0000b', vendorId: 'x' }, 'name', 'malformed'],
    ['a value outside its list', '/v1/keys', { ...key, environment: 'prod' }, 'environment', 'malformed'],
    ['a time that is none', '/v1/keys', { ...key, expiresAt: 'tomorrow' }, 'expiresAt', 'malformed'],
    ['a fraction', '/v1/keys/AAAAAAAAAAAAAA/rotate', { overlapSeconds: 0.5 }, 'overlapSeconds', 'malformed'],
    [
      'a reason that RFC 5280 does not know (CX03)',
      '/v1/certificates/0a/revoke',
      { reason: 'lost' },
      'reason',
      'malformed',
    ],
    ['an upper-case instanceId', '/v1/devices', { appId: 'x', instanceId: 'F'.repeat(8) }, 'instanceId', 'malformed'],
    ['a body where none is wanted', '/v1/keys/AAAAAAAAAAAAAA/suspend', { force: true }, 'force', 'unknownMember'],
  ];

  it.each(cases)('answers 400 naming the member: %s', async (_, path, body, member, code) => {
    const problem = expectProblem(await post(path, body), 400, code);
    expect(problem['member']).toBe(member);
    expect(problem['detail']).toContain(member);
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=201', 'limit'],
    ['cursor=AAAA', 'cursor'],
    [`cursor=${Buffer.from('["2026-02-31 00:00:00+00","AAAAAAAAAAAAAA"]').toString('base64url')}`, 'cursor'],
    ['page=2', 'page'],
  ])('answers 400 naming the member of a query: %s', async (query, member) => {
    const answer = await call('GET', `/v1/keys?${query}`, { headers: asOperator() });
    expect((JSON.parse(answer.text) as { member: string }).member).toBe(member);
    expect(answer.status).toBe(400);
  });

  it('refuses what is not JSON, not an object, too large, of another type, or compressed', async () => {
    const json = asOperator({ 'content-type': 'application/json' });
    expectProblem(await call('POST', '/v1/apps', { headers: json, body: '{"name":' }), 400, 'malformed');
    expectProblem(await call('POST', '/v1/apps', { headers: json, body: '[]' }), 400, 'malformed');
    expectProblem(await call('POST', '/v1/apps', { headers: json, body: '{"__proto__":{"x":1}}' }), 400, 'malformed');
    expectProblem(await call('POST', '/v1/apps', { headers: asOperator() }), 400, 'malformed');
    expectProblem(await call('POST', '/v1/apps', { headers: json, body: `"${'x'.repeat(65_535)}"` }), 413, 'tooLarge');
    const text = asOperator({ 'content-type': 'text/plain' });
    expectProblem(await call('POST', '/v1/apps', { headers: text, body: 'x' }), 415, 'unsupportedType');
    const gzip = { ...json, 'content-encoding': 'gzip' };
    expectProblem(await call('POST', '/v1/apps', { headers: gzip, body: 'x' }), 415, 'contentEncoding');
  });

  it('refuses at once what is nested deeply or has a great many members, whatever size the route takes', async () => {
    const json = asOperator({ 'content-type': 'application/json' });
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    const many = `{"crl":[${'{},'.repeat(1_000_000)}{}]}`;
    for (const [method, path, body, why] of [
      ['POST', '/v1/apps', nested(30_000), /nested deeper than 32$/],
      ['POST', '/v1/trust-anchors/acme/crls', nested(1_000_000), /nested deeper than 32$/],
      ['POST', '/v1/trust-anchors/acme/crls', many, /more than 50000 members and elements$/],
    ] as const) {
      const problem = expectProblem(await call(method, path, { headers: json, body }), 400, 'malformed');
      expect(problem['detail']).toMatch(why);
    }
  });

  it('takes more where a route is about CRLs, certificates or many keys, from whoever may send them', async () => {
    const json = asOperator({ 'content-type': 'application/json' });
    const body = (bytes: number) => JSON.stringify({ other: 'x'.repeat(bytes - 12) });
    const plane = app.getHttpAdapter().getInstance();
    const most: ['PUT' | 'POST', string, number][] = [
      ['PUT', '/v1/trust-anchors/acme', 1],
      ['POST', '/v1/trust-anchors/acme/crls', 12],
      ['POST', `/v1/issuers/${randomUUID()}/import`, 1],
      ['POST', `/v1/issuers/${randomUUID()}/crl`, 12],
      ['POST', '/v1/blocked-keys', 1],
    ];
    for (const [method, path, mib] of most) {
      const bytes = mib * 1024 * 1024;
      const whole = await call(method, path, { headers: json, body: body(bytes) });
      expect([path, whole.status]).toEqual([path, 400]);
      const beyond = await plane.inject({ method, url: path, headers: json, payload: body(bytes + 1) });
      expect([beyond.statusCode, beyond.json<{ detail: string }>().detail]).toEqual([
        413,
        `the body is larger than ${bytes} bytes`,
      ]);
      expectProblem(
        await call(method, path, { headers: { 'content-type': 'application/json' }, body: '{' }),
        401,
        'unauthenticated',
      );
    }
    const vendor = { authorization: `Bearer ${offline.vendorToken}`, 'content-type': 'application/json' };
    expectProblem(await call('POST', '/v1/blocked-keys', { headers: vendor, body: '{' }), 403, 'forbidden');
  });

  it('answers 404 to ids of impossible form, unknown paths and undecodable ones alike', async () => {
    for (const path of [
      '/v1/keys/x',
      '/v1/devices/1',
      '/v1/certificates/zz',
      '/v1/apps/x/releases',
      '/nowhere',
      '/v1/approvals/x',
    ]) {
      expectProblem(await call('GET', path, { headers: asOperator() }), 404, 'notFound');
    }
    expectProblem(await call('GET', `/v1/keys/${'a'.repeat(2000)}`, { headers: asOperator() }), 404, 'notFound');
    expect((await call('GET', '/v1/keys/%zz', { headers: asOperator() })).status).toBe(400);
  });

  it('answers 405 with Allow to a method that the path does not have', async () => {
    const answer = await call('DELETE', '/v1/keys/AAAAAAAAAAAAAA', { headers: asOperator() });
    expectProblem(answer, 405, 'methodNotAllowed');
    expect(answer.headers.allow).toBe('GET, HEAD');
    expect((await call('PUT', '/v1/introspect')).headers.allow).toBe('POST');
  });

  it('answers 503 with Retry-After while the database is down, and says nothing of it', async () => {
    const answer = await call('GET', '/v1/apps', { headers: asOperator() });
    expectProblem(answer, 503, 'unavailable');
    expect(answer.headers['retry-after']).toBe('2');
  });
});

describe('introspection', () => {
  const ask = (body: string, type = 'application/x-www-form-urlencoded') =>
    call('POST', '/v1/introspect', { headers: asOperator({ 'content-type': type }), body });

  it('works while the database is down', async () => {
    const answer = await ask(`token=${offline.apiKey}`);
    expect(JSON.parse(answer.text)).toMatchObject({ active: true, token_type: 'api_key', status: 'active' });
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(JSON.parse((await ask(`token_type_hint=x&token=%22${offline.apiKey}%22`)).text)).toMatchObject({
      active: true,
    });
  });

  it('tells nothing of an unknown token', async () => {
    const other = offline.apiKey.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    for (const token of [other, 'x', '%00', offline.operatorToken]) {
      expect((await ask(`token=${token}`)).text).toBe('{"active":false}');
    }
  });

  it('refuses a form without one token, JSON, and callers without a token of their own', async () => {
    for (const form of ['', 'token=', 'token=a&token=b', 'key=x']) expectProblem(await ask(form), 400, 'malformed');
    expectProblem(await ask('{"token":"x"}', 'application/json'), 415, 'unsupportedType');
    expectProblem(await call('POST', '/v1/introspect', { body: 'token=x' }), 401, 'unauthenticated');
  });
});

describe('the plane itself', () => {
  it('lives, and is ready only without reasons', async () => {
    expect((await call('GET', '/healthz')).text).toBe('{"status":"ok"}');
    expect((await call('GET', '/readyz')).status).toBe(200);
    notReady = ['the status log is 61 s old'];
    const answer = await call('GET', '/readyz');
    notReady = [];
    expect(answer.status).toBe(503);
    expect(answer.text).toContain('61 s old');
    lacks = ['signer: does not answer for 1 key'];
    const degraded = await call('GET', '/readyz');
    lacks = [];
    expect([degraded.status, JSON.parse(degraded.text)]).toEqual([
      200,
      { status: 'degraded', reasons: ['signer: does not answer for 1 key'] },
    ]);
  });

  it('describes every route it serves, with the schema of its answer', async () => {
    const document = JSON.parse((await call('GET', '/openapi.json')).text) as {
      openapi: string;
      paths: Record<string, Record<string, { responses: Record<string, { content?: unknown }>; security?: unknown }>>;
      components: { schemas: Record<string, { additionalProperties?: boolean }> };
    };
    expect(document.openapi).toMatch(/^3\.1/);
    const operations = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({ name: `${method} ${path}`, operation })),
    );
    expect(operations.map(({ name }) => name).sort()).toEqual(ROUTES);
    for (const { name, operation } of operations.filter((one) => one.name.includes('/v1/'))) {
      const answer = operation.responses['200'] ?? operation.responses['201'] ?? operation.responses['202'];
      expect({ name, described: answer?.content !== undefined }).toEqual({ name, described: true });
      expect(operation.security).toBeDefined();
    }
    expect(document.components.schemas['NewKey']?.additionalProperties).toBe(false);
    expect(document.components.schemas['IssuedKey']?.additionalProperties).toBe(false);
  });

  it('shows the reference without script or other host', async () => {
    const answer = await call('GET', '/docs');
    expect(answer.headers['content-type']).toMatch(/^text\/html/);
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'; style-src 'sha256-");
    expect(answer.text).toContain('/v1/devices/{id}/reset');
    expect(answer.text).not.toMatch(/<script|https?:\/\//);
  });

  it('sends what browsers and caches must know with every answer, and no request id but its own', async () => {
    const answer = await call('GET', '/healthz', { headers: { 'x-request-id': 'mine' } });
    expect(answer.headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
    expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });
});

const ROUTES = [
  'delete /v1/devices/{id}/fingerprints/{fingerprintId}',
  'delete /v1/devices/{id}/transport-keys/{keyIdentifier}',
  'delete /v1/est-labels/{name}',
  'delete /v1/mail-subscriptions/{id}',
  'delete /v1/passkeys/{id}',
  'delete /v1/people/{id}',
  'delete /v1/people/{id}/roles/{role}',
  'delete /v1/profiles/{name}',
  'delete /v1/session',
  'delete /v1/trust-anchors/{name}',
  'delete /v1/webhooks/{id}',
  'get /healthz',
  'get /metrics',
  'get /readyz',
  'get /v1/approvals',
  'get /v1/approvals/{id}',
  'get /v1/apps',
  'get /v1/apps/{id}',
  'get /v1/apps/{id}/releases',
  'get /v1/apps/{id}/releases/{releaseId}',
  'get /v1/audit/checkpoint',
  'get /v1/audit/events',
  'get /v1/audit/export',
  'get /v1/audit/proof',
  'get /v1/blocked-keys',
  'get /v1/blocked-keys/certificates',
  'get /v1/certificates',
  'get /v1/certificates/{serial}',
  'get /v1/certificates/{serial}/fingerprints',
  'get /v1/certificates/{serial}/renewal',
  'get /v1/device-groups',
  'get /v1/device-groups/{id}',
  'get /v1/devices',
  'get /v1/devices/{id}',
  'get /v1/devices/{id}/fingerprints',
  'get /v1/devices/{id}/obtained',
  'get /v1/devices/{id}/transport-keys',
  'get /v1/domains',
  'get /v1/domains/{id}',
  'get /v1/est-labels',
  'get /v1/est-labels/{name}',
  'get /v1/event-types',
  'get /v1/issuers',
  'get /v1/issuers/{id}',
  'get /v1/issuers/{id}/csr',
  'get /v1/keys',
  'get /v1/keys/{id}',
  'get /v1/mail-subscriptions',
  'get /v1/mail-subscriptions/{id}',
  'get /v1/organizations',
  'get /v1/organizations/{id}',
  'get /v1/organizations/{id}/quotas',
  'get /v1/passkeys',
  'get /v1/people',
  'get /v1/people/{id}',
  'get /v1/profiles',
  'get /v1/profiles/{name}',
  'get /v1/session',
  'get /v1/tokens',
  'get /v1/trust-anchors',
  'get /v1/trust-anchors/{name}',
  'get /v1/users',
  'get /v1/users/{id}',
  'get /v1/webhooks',
  'get /v1/webhooks/{id}',
  'get /v1/webhooks/{id}/deliveries',
  'patch /v1/devices/{id}',
  'patch /v1/mail-subscriptions/{id}',
  'patch /v1/profiles/{name}',
  'patch /v1/webhooks/{id}',
  'post /sign-in/invitation',
  'post /sign-in/passkey',
  'post /sign-in/passkey/options',
  'post /v1/approvals/{id}/approve',
  'post /v1/approvals/{id}/reject',
  'post /v1/approvals/{id}/withdraw',
  'post /v1/apps',
  'post /v1/apps/{id}/releases',
  'post /v1/blocked-keys',
  'post /v1/blocked-keys/imports/{id}/revoke',
  'post /v1/certificates/{serial}/release',
  'post /v1/certificates/{serial}/revoke',
  'post /v1/device-groups',
  'post /v1/device-groups/{id}/renew-now',
  'post /v1/device-groups/{id}/resume',
  'post /v1/device-groups/{id}/revoke',
  'post /v1/device-groups/{id}/suspend',
  'post /v1/devices',
  'post /v1/devices/{id}/allow-late-renewal',
  'post /v1/devices/{id}/dry-run',
  'post /v1/devices/{id}/fingerprints',
  'post /v1/devices/{id}/reset',
  'post /v1/devices/{id}/resume',
  'post /v1/devices/{id}/revoke',
  'post /v1/devices/{id}/revoke-obtained',
  'post /v1/devices/{id}/suspend',
  'post /v1/domains',
  'post /v1/domains/{id}/disable',
  'post /v1/domains/{id}/enable',
  'post /v1/domains/{id}/verify',
  'post /v1/fingerprints',
  'post /v1/introspect',
  'post /v1/issuers',
  'post /v1/issuers/{id}/activate',
  'post /v1/issuers/{id}/crl',
  'post /v1/issuers/{id}/cross-sign',
  'post /v1/issuers/{id}/import',
  'post /v1/issuers/{id}/renew-now',
  'post /v1/issuers/{id}/revoke',
  'post /v1/issuers/{id}/rollover',
  'post /v1/keys',
  'post /v1/keys/{id}/resume',
  'post /v1/keys/{id}/revoke',
  'post /v1/keys/{id}/rotate',
  'post /v1/keys/{id}/suspend',
  'post /v1/mail-subscriptions',
  'post /v1/organizations',
  'post /v1/passkeys',
  'post /v1/passkeys/options',
  'post /v1/people',
  'post /v1/people/{id}/invitations',
  'post /v1/people/{id}/roles',
  'post /v1/profiles',
  'post /v1/tokens',
  'post /v1/tokens/{id}/revoke',
  'post /v1/tokens/{id}/rotate',
  'post /v1/trust-anchors/{name}/crls',
  'post /v1/users',
  'post /v1/users/{id}/disable',
  'post /v1/users/{id}/enable',
  'post /v1/webhooks',
  'post /v1/webhooks/{id}/deliveries/{deliveryId}/replay',
  'post /v1/webhooks/{id}/rotate',
  'post /v1/webhooks/{id}/test',
  'put /v1/devices/{id}/transport-keys/{keyIdentifier}',
  'put /v1/est-labels/{name}',
  'put /v1/organizations/{id}/quotas',
  'put /v1/profiles/{name}',
  'put /v1/trust-anchors/{name}',
];
