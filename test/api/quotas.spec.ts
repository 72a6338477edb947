import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestInstance, type TestInstance } from '../harness/instance.js';

let instance: TestInstance;
let authority: string;
beforeAll(async () => {
  instance = await startTestInstance();
  const { items } = (await instance.api('GET', '/v1/organizations')).json<{ items: { id: string; kind: string }[] }>();
  authority = items.find(({ kind }) => kind === 'authority')!.id;
});
afterAll(() => instance.stop());

const quotasOf = (id: string) => `/v1/organizations/${id}/quotas`;
const setQuotas = (body: unknown) => instance.api('PUT', quotasOf(authority), body);

test('an organization has none of its own until they are set, and again when they are taken back', async () => {
  expect((await instance.api('GET', quotasOf(authority))).json()).toEqual({
    requestsPerMinute: null,
    issuancePerMinute: null,
  });
  const quotas = { requestsPerMinute: 5000, issuancePerMinute: 70 };
  expect(await setQuotas(quotas)).toMatchObject({ status: 200, text: JSON.stringify(quotas) });
  expect((await instance.api('GET', quotasOf(authority))).json()).toEqual(quotas);
  expect((await setQuotas({ requestsPerMinute: null, issuancePerMinute: null })).status).toBe(200);
});

test.each<[string, unknown, string]>([
  ['nought', { requestsPerMinute: 0, issuancePerMinute: 1 }, 'requestsPerMinute'],
  ['a fraction', { requestsPerMinute: 1.5, issuancePerMinute: 1 }, 'requestsPerMinute'],
  ['more than a million', { requestsPerMinute: 1, issuancePerMinute: 1_000_001 }, 'issuancePerMinute'],
  ['a text', { requestsPerMinute: '1', issuancePerMinute: 1 }, 'requestsPerMinute'],
  ['only one of the two', { requestsPerMinute: 1 }, 'issuancePerMinute'],
  ['an unknown member', { requestsPerMinute: 1, issuancePerMinute: 1, perSecond: 1 }, 'perSecond'],
])('refuses %s, and nothing is changed', async (_, body, member) => {
  const reply = await setQuotas(body);
  expect([400, 422]).toContain(reply.status);
  expect(reply.text).toContain(member);
  expect((await instance.api('GET', quotasOf(authority))).json()).toEqual({
    requestsPerMinute: null,
    issuancePerMinute: null,
  });
});

test('an id that nobody has answers 404', async () => {
  for (const id of ['01900000-0000-7000-8000-000000000009', 'x'])
    expect((await instance.api('GET', quotasOf(id))).status).toBe(404);
});

test('beyond its requests of the minute it gets 429 with the time to wait; what is not management goes on', async () => {
  expect((await setQuotas({ requestsPerMinute: 1, issuancePerMinute: null })).status).toBe(200);
  const replies = [];
  // What this process holds already is used up first: at most what a lease takes, or five seconds of it.
  const until = performance.now() + 30_000;
  do replies.push(await instance.api('GET', '/v1/organizations'));
  while (replies.at(-1)!.status !== 429 && performance.now() < until);
  const last = replies.at(-1)!;
  expect(last.status).toBe(429);
  expect(Number(last.headers['retry-after'])).toBeGreaterThanOrEqual(1);
  expect(Number(last.headers['retry-after'])).toBeLessThanOrEqual(60);
  expect(last.headers['content-type']).toContain('application/problem+json');
  expect(last.json()).toMatchObject({ type: 'urn:touchmark:problem:quotaExceeded', status: 429 });
  const introspection = await instance.api('POST', '/v1/introspect', 'token=x', {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  expect([introspection.status, introspection.text]).toEqual([200, '{"active":false}']);
  for (const path of ['/metrics', '/healthz', '/docs']) expect((await instance.api('GET', path)).status).toBe(200);
});
