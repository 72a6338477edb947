import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { InjectOptions } from 'fastify';
import { Registry } from 'prom-client';
import { createApi } from '#apps/api';
import { writeToken, type AuthorityContext } from '#authority';
import { mintApiKey, mintEnrollmentSecret } from '#credential';
import { loadConfig } from '#kernel';
import { rolesOf, type OrganizationKind, type Role } from '#policy';
import { appendStatusChanges } from '#store';
import { read, ROOT } from '../architecture/layers.js';
import { selfSigned } from '../est/self-signed.js';
import { silent, startTestDatabase, type TestDatabase } from '../harness/database.js';
import { allowed, COLUMNS, renderMatrix, sortRoutes, type RouteRow } from './authorization-matrix.js';
import { BODIES, makeTenant, SHARED, type Tenant } from './tenant.js';

let db: TestDatabase;
let api: AuthorityContext;
let app: NestFastifyApplication;
let routes: RouteRow[];
let tenant: Tenant;
let stranger: Tenant;

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  app = await createApi({
    config: loadConfig({}),
    authority: api,
    tls: await selfSigned(),
    registry: new Registry(),
    log: silent,
    readiness: () => Promise.resolve([]),
    urls: () => ({ est: 'https://localhost:1', api: 'https://localhost:2', status: 'http://localhost:3' }),
  });
  await app.getHttpAdapter().getInstance().ready();
  routes = sortRoutes(app.getHttpAdapter().getInstance().routeTable);
  tenant = await makeTenant(db);
  stranger = await makeTenant(db);
});
afterAll(async () => {
  await app.close();
  await db.stop();
});

let address = 0;
/** From an address of its own: what is refused here must not be refused for having failed too often. */
async function call(method: string, url: string, token: string | undefined, body?: unknown) {
  address += 1;
  const inject: InjectOptions = {
    method: method as 'GET',
    url,
    remoteAddress: `10.${(address >> 16) & 255}.${(address >> 8) & 255}.${address & 255}`,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
  };
  const answer = await app.getHttpAdapter().getInstance().inject(inject);
  return { status: answer.statusCode, body: answer.body };
}

async function tokenOf(
  organizationId: string,
  roles: readonly Role[],
  more: { expiresAt?: Date; revoked?: boolean } = {},
): Promise<string> {
  const owner = await db.as('owner');
  const { id, text, seq } = await owner.transaction((tx) =>
    writeToken(tx, api, db.operator, {
      organizationId,
      name: roles.join(' '),
      kind: 'machine',
      personId: null,
      createdBy: organizationId,
      roles: [...roles],
      predecessorId: null,
      expiresAt: more.expiresAt ?? null,
    }),
  );
  await api.follower.catchUp(seq);
  if (more.revoked) {
    const revoked = { kind: 'token', subject: id, status: 'revoked', at: api.clock.now() } as const;
    const rest = { reason: null, invalidityDate: null, endsAt: null, issuerId: null, shard: null, notAfter: null };
    const last = await owner.transaction((tx) => appendStatusChanges(tx, db.macKey, [{ ...revoked, ...rest }]));
    await api.follower.catchUp(last);
  }
  return text;
}

const organizationOf = (kind: OrganizationKind): string => (kind === 'authority' ? db.authorityId : tenant[kind]);
const unknownId = (url: string): string => url.replaceAll(/:[a-zA-Z]+/g, 'absent');
const needsPermission = (body: string): boolean => body.includes('this needs the permission');

const DOCUMENT = 'docs/AUTHORIZATION.md';

beforeAll(() => {
  // How the document is written anew after a change that is meant.
  if (process.env['WRITE_AUTHORIZATION'] === undefined) return;
  const text = read(DOCUMENT);
  const start = text.indexOf('| Route');
  writeFileSync(path.join(ROOT, DOCUMENT), `${text.slice(0, start)}${renderMatrix(routes)}\n`);
});

test('the declared matrix is the one of the code, route by route and cell by cell', () => {
  const declared = read(DOCUMENT);
  const table = declared
    .slice(declared.indexOf('| Route'))
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---'))
    .join('\n');
  expect(table).toBe(renderMatrix(routes));
});

describe('each cell of the matrix, asked of the running plane', () => {
  test('every role gets through where it may, and is told what it lacks where it may not', async () => {
    const wrong: string[] = [];
    let cells = 0;
    for (const column of COLUMNS) {
      const token = await tokenOf(organizationOf(column.kind), [column.role]);
      for (const { method, url, access } of routes) {
        const { status, body } = await call(method, unknownId(url), token);
        const passes = status !== 401 && !(status === 403 && needsPermission(body));
        cells += 1;
        if (passes !== allowed(column, access)) {
          wrong.push(`${method} ${url} as ${column.kind} ${column.role}: ${status} ${body}`);
        }
      }
    }
    console.info(`${cells} cells, ${routes.length} routes, ${COLUMNS.length} roles`);
    expect(wrong).toEqual([]);
  });

  test.each([
    ['nobody', () => Promise.resolve(undefined)],
    ['a token that has expired', () => tokenOf(db.authorityId, ['admin'], { expiresAt: new Date(1000) })],
    ['a token that was revoked', () => tokenOf(db.authorityId, ['admin'], { revoked: true })],
    ['an API key', () => Promise.resolve(mintApiKey('live').text)],
    ['an enrollment secret', () => Promise.resolve(mintEnrollmentSecret().text)],
  ])('%s is refused everywhere but on public routes', async (_, make) => {
    const token = await make();
    const wrong: string[] = [];
    for (const { method, url, access } of routes) {
      const { status } = await call(method, unknownId(url), token);
      if ((status === 401) !== (access !== 'public')) wrong.push(`${method} ${url}: ${status}`);
    }
    expect(wrong).toEqual([]);
  });

  test('a role that the kind of organization does not have gives nothing', async () => {
    const token = await tokenOf(tenant.vendor, ['officer', 'checker']);
    const wrong: string[] = [];
    for (const { method, url, access } of routes.filter((route) => route.access !== 'public')) {
      const { status } = await call(method, unknownId(url), token);
      if (status !== 403) wrong.push(`${method} ${url} (${access}): ${status}`);
    }
    expect(wrong).toEqual([]);
  });
});

describe('what belongs to others', () => {
  // First: a caller's own refused attempts, which come next, are in its own audit log under the ids that it tried.
  test('is no part of any list', async () => {
    const token = await tokenOf(stranger.testing, rolesOf('testing'));
    const foreign = Object.values(tenant.ids).map(({ own }) => own);
    const wrong: string[] = [];
    for (const { url } of routes.filter((route) => route.method === 'GET' && !route.url.includes(':'))) {
      const { body } = await call('GET', url, token);
      wrong.push(...foreign.filter((id) => body.includes(id)).map((id) => `${url} tells of ${id}`));
    }
    expect(wrong).toEqual([]);
  });

  test('answers byte for byte like what does not exist, to every role of another organization', async () => {
    const wrong: string[] = [];
    let asked = 0;
    const token = await tokenOf(stranger.testing, rolesOf('testing'));
    for (const { method, url } of routes.filter((route) => route.url.includes(':') && !SHARED.test(route.url))) {
      const at = `${method} ${url}`;
      const ids = tenant.ids[url.split('/:')[0] ?? ''];
      if (ids === undefined) {
        wrong.push(`${at}: tenant.ts has no object for it`);
        continue;
      }
      const masked = async (id: string) => {
        const { status, body } = await call(method, unknownId(url.replace(/:[a-zA-Z]+/, id)), token, BODIES[at]);
        return `${status} ${body.replace(/"instance":"[^"]+"/, '').replaceAll(id, 'ID')}`;
      };
      const [foreign, absent] = [await masked(ids.own), await masked(ids.absent)];
      asked += 1;
      if (foreign !== absent || !/^(404|403) /.test(foreign)) wrong.push(`${at}: ${foreign} against ${absent}`);
    }
    console.info(`${asked} routes with a foreign id`);
    expect(wrong).toEqual([]);
  });

  test('does not show in a reference either: naming it in a body is like naming nothing', async () => {
    const token = await tokenOf(stranger.testing, rolesOf('testing'));
    const wrong: string[] = [];
    for (const [at, make] of Object.entries(tenant.references)) {
      const [method = '', url = ''] = at.split(' ');
      const masked = async (id: string) => {
        const { status, body } = await call(method, url, token, make(id));
        return `${status} ${body.replace(/"instance":"[^"]+"/, '').replaceAll(id, 'ID')}`;
      };
      const [foreign, absent] = [await masked(tenant.referenced[at] ?? ''), await masked(randomUUID())];
      if (foreign !== absent || /^2/.test(foreign)) wrong.push(`${at}: ${foreign} against ${absent}`);
    }
    expect(wrong).toEqual([]);
  });
});
