import { chmod, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestInstance, type TestInstance } from '../harness/instance.js';
import { startOidcProvider, type TestOidcProvider } from '../harness/oidc-provider.js';

let instance: TestInstance;
let provider: TestOidcProvider;
let log = '';

beforeAll(async () => {
  instance = await startTestInstance({ LOG_LEVEL: 'trace' }, { write: (line: string) => void (log += line) });
  const callback = `${instance.urls.api}/sign-in/oidc/callback`;
  provider = await startOidcProvider(callback);
});
afterAll(async () => {
  await provider?.stop();
  await instance?.stop();
});

const noToken = { token: null };

test('an instance whose host has an oidc.json signs in by it, over TLS, and tells no secret', async () => {
  expect((await instance.api('GET', '/sign-in/oidc', undefined, noToken)).status).toBe(404);
  const file = path.join(instance.config.secretsDir, 'oidc.json');
  const { issuer, clientId, clientSecret } = provider;
  const mapping = [{ claim: 'tm-admin', roles: ['admin'] }];
  await writeFile(file, JSON.stringify({ issuer, clientId, clientSecret, mapping, allowInsecureIssuer: true }));
  await chmod(file, 0o600);
  await instance.restart();

  expect((await instance.api('GET', '/sign-in', undefined, noToken)).text).toContain('href="/sign-in/oidc"');
  provider.user = { sub: 'ada', claims: { name: 'Ada', touchmark_roles: 'tm-admin' } };
  const begun = await instance.api('GET', '/sign-in/oidc', undefined, noToken);
  const back = await provider.browse(begun.headers.location!);
  const cookieOf = (lines: string[] | undefined, name: string) =>
    (lines ?? [])
      .map((line) => line.split(';')[0]!)
      .find((pair) => pair.startsWith(`${name}=t`) || /-sign-in=./.test(pair))!;
  const binding = cookieOf(begun.headers['set-cookie'], '__Host-touchmark-sign-in');
  const landed = await instance.api('GET', `${back.pathname}${back.search}`, undefined, {
    ...noToken,
    headers: { cookie: binding },
  });
  expect({ status: landed.status, to: landed.headers.location }).toEqual({ status: 303, to: '/sign-in' });
  const session = cookieOf(landed.headers['set-cookie'], '__Host-touchmark');
  const headers = { cookie: session };
  const who = await instance.api('GET', '/v1/session', undefined, { ...noToken, headers });
  expect(who.json()).toMatchObject({ person: { name: 'Ada' }, roles: ['admin'] });

  // The session outlives a restart: it is a row and a line of the log.
  await instance.restart();
  expect((await instance.api('GET', '/v1/session', undefined, { ...noToken, headers })).status).toBe(200);

  const secrets = [clientSecret, session.split('_').at(-1)!, binding.split('=')[1]!, back.searchParams.get('code')!];
  expect(log.length).toBeGreaterThan(1000);
  for (const secret of secrets) expect(log).not.toContain(secret);
});
