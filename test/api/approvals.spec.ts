import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Registry } from 'prom-client';
import { createApi } from '#apps/api';
import {
  createDeviceGroup,
  createOrganization,
  registerDevice,
  revokeDevice,
  writeToken,
  type AuthorityContext,
} from '#authority';
import { loadConfig } from '#kernel';
import { selfSigned } from '../est/self-signed.js';
import { silent, startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeProduct, type Product } from '../harness/fixtures.js';
import { startTestInstance, type TestInstance } from '../harness/instance.js';
import { makePerson, makeToken, type Person } from '../harness/people.js';

let db: TestDatabase;
let api: AuthorityContext;
let app: NestFastifyApplication;
let product: Product;
let officer: Person;
let tokens: Record<'admin' | 'officer' | 'approver' | 'auditor', string>;
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
  product = await makeProduct(api, db.operator);
  const people = {
    admin: await makePerson(db, ['admin']),
    officer: await makePerson(db, ['officer']),
    approver: await makePerson(db, ['approver']),
    auditor: await makePerson(db, ['auditor']),
  };
  officer = people.officer;
  tokens = {
    admin: await makeToken(db, people.admin, ['admin']),
    officer: await makeToken(db, people.officer, ['officer']),
    approver: await makeToken(db, people.approver, ['approver']),
    auditor: await makeToken(db, people.auditor, ['auditor']),
  };
});
afterAll(async () => {
  await app.close();
  await db.stop();
});

interface Answered {
  status: number;
  headers: Record<string, unknown>;
  json: Record<string, unknown>;
  body: string;
}

async function call(
  who: string,
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  payload?: unknown,
  headers: Record<string, string> = {},
): Promise<Answered> {
  const answer = await app
    .getHttpAdapter()
    .getInstance()
    .inject({
      method,
      url,
      headers: {
        authorization: `Bearer ${who}`,
        ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(payload === undefined ? {} : { payload: JSON.stringify(payload) }),
    });
  const { statusCode, body } = answer;
  return { status: statusCode, headers: answer.headers, body, json: JSON.parse(body) as Answered['json'] };
}
const problem = (code: string) => `urn:touchmark:problem:${code}`;

async function revokedDevice(): Promise<string> {
  const { device } = await registerDevice(api, officer, { appId: product.appId });
  await revokeDevice(api, officer, device.id, { reason: 'superseded' });
  return device.id;
}
const newGroup = async () =>
  (await createDeviceGroup(api, officer, { name: 'Field test', vendorId: product.vendorId })).id;
/** Proposed by the officer: revoking an empty group. */
async function proposed(): Promise<{ approvalId: string; digest: string; group: string }> {
  const group = await newGroup();
  const { json } = await call(tokens.officer, 'POST', `/v1/device-groups/${group}/revoke`, { reason: 'superseded' });
  return { approvalId: String(json['approvalId']), digest: String(json['digest']), group };
}

describe('an operation that takes two people', () => {
  test('answers 202 with approvalId, digest and the end of its hour, and is done on approval', async () => {
    const group = await newGroup();
    const answer = await call(tokens.officer, 'POST', `/v1/device-groups/${group}/revoke`, { reason: 'superseded' });
    expect(answer.status).toBe(202);
    expect(answer.json).toEqual({
      approvalId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      expiresAt: expect.stringMatching(/Z$/),
    });
    const id = String(answer.json['approvalId']);
    const shown = await call(tokens.approver, 'GET', `/v1/approvals/${id}`);
    expect(shown.json).toMatchObject({
      id,
      operation: 'group.revoke',
      subject: `group:${group}`,
      parameters: { groupId: group, reason: 'superseded' },
      digest: answer.json['digest'],
      proposerPerson: officer.personId,
      state: 'proposed',
      decider: null,
      result: null,
    });
    expect((await call(tokens.officer, 'GET', `/v1/device-groups/${group}`)).json['status']).toBe('active');
    const { digest } = answer.json;
    const done = await call(tokens.approver, 'POST', `/v1/approvals/${id}/approve`, { digest });
    expect(done.status).toBe(200);
    expect(done.json).toMatchObject({
      state: 'executed',
      singleOperator: false,
      result: { groupId: group, members: 0 },
    });
    expect((await call(tokens.officer, 'GET', `/v1/device-groups/${group}`)).json['status']).toBe('revoked');
    const again = await call(tokens.approver, 'POST', `/v1/approvals/${id}/approve`, { digest });
    expect(again).toMatchObject({ status: 200, json: done.json });
  });

  test('with an Idempotency-Key is proposed once', async () => {
    const url = `/v1/device-groups/${await newGroup()}/revoke`;
    const key = { 'idempotency-key': randomUUID() };
    const first = await call(tokens.officer, 'POST', url, { reason: 'superseded' }, key);
    const second = await call(tokens.officer, 'POST', url, { reason: 'superseded' }, key);
    expect(second).toMatchObject({ status: 202, json: first.json });
    expect(second.headers['idempotency-replayed']).toBe('true');
  });

  test('resetting a revoked device: the secret is in the answer to the approver, once, and nowhere else', async () => {
    const id = await revokedDevice();
    const reset = await call(tokens.officer, 'POST', `/v1/devices/${id}/reset`, {});
    expect(reset.status).toBe(202);
    const path = `/v1/approvals/${String(reset.json['approvalId'])}`;
    const done = await call(tokens.approver, 'POST', `${path}/approve`, { digest: reset.json['digest'] });
    const { secret } = done.json['enrollment'] as { secret: string };
    expect(done.json).toMatchObject({ result: { deviceId: id }, enrollment: { username: id } });
    const again = await call(tokens.approver, 'POST', `${path}/approve`, {});
    expect(again.json).not.toHaveProperty('enrollment');
    expect((await call(tokens.officer, 'GET', `/v1/devices/${id}`)).json['status']).toBe('registered');
    expect(await db.dump()).not.toContain(secret);
    const plain = await call(tokens.officer, 'POST', `/v1/devices/${id}/reset`, {});
    expect(plain).toMatchObject({ status: 201, json: { enrollment: { username: id } } });
  });

  test('granting roles; withdrawing one is done at once by one', async () => {
    const { personId } = await makePerson(db, []);
    const grant = await call(tokens.admin, 'POST', `/v1/people/${personId}/roles`, { roles: ['officer', 'auditor'] });
    expect(grant.status).toBe(202);
    const done = await call(tokens.approver, 'POST', `/v1/approvals/${String(grant.json['approvalId'])}/approve`, {});
    expect(done.json['result']).toEqual({ personId, roles: ['officer', 'auditor'] });
    const left = await call(tokens.admin, 'DELETE', `/v1/people/${personId}/roles/officer`);
    expect(left).toMatchObject({ status: 200, json: { personId, roles: ['auditor'] } });
    expect(await call(tokens.admin, 'DELETE', `/v1/people/${personId}/roles/officer`)).toMatchObject({ status: 200 });
    expect((await call(tokens.admin, 'DELETE', `/v1/people/${personId}/roles/king`)).status).toBe(404);
    expect((await call(tokens.admin, 'DELETE', `/v1/people/${randomUUID()}/roles/officer`)).status).toBe(404);
  });

  test('the last admin stays, unless a bootstrap token can make another', async () => {
    const path = `/v1/people/${await personOf(tokens.admin)}/roles/admin`;
    expect(await call(tokens.admin, 'DELETE', path)).toMatchObject({
      status: 409,
      json: { type: problem('lastAdmin') },
    });
    const second = await makePerson(db, ['admin']);
    const gone = await call(tokens.admin, 'DELETE', `/v1/people/${second.personId}/roles/admin`);
    expect(gone.status).toBe(200);
  });
});

const personOf = async (token: string): Promise<string> => {
  const id = token.slice(5, 19);
  const [row] = await db.sql<{ id: string }>('select person_id as id from operator_tokens where id = $1', [id]);
  return row!.id;
};

describe('refusals', () => {
  test('rejecting ends it; so does withdrawing, by the proposer alone', async () => {
    const one = await proposed();
    expect(await call(tokens.approver, 'POST', `/v1/approvals/${one.approvalId}/reject`, {})).toMatchObject({
      status: 200,
      json: { state: 'rejected' },
    });
    expect(await call(tokens.approver, 'POST', `/v1/approvals/${one.approvalId}/approve`, {})).toMatchObject({
      status: 409,
      json: { type: problem('approvalDecided') },
    });
    const two = await proposed();
    expect(await call(tokens.auditor, 'POST', `/v1/approvals/${two.approvalId}/withdraw`, {})).toMatchObject({
      status: 403,
      json: { type: problem('notProposer') },
    });
    expect(await call(tokens.officer, 'POST', `/v1/approvals/${two.approvalId}/withdraw`, {})).toMatchObject({
      status: 200,
      json: { state: 'withdrawn' },
    });
  });

  test('to the same person under another role and token: 403 samePerson, in the audit log', async () => {
    const both = await makePerson(db, ['officer', 'approver']);
    const [asOfficer, asApprover] = [await makeToken(db, both, ['officer']), await makeToken(db, both, ['approver'])];
    const group = await newGroup();
    const { json } = await call(asOfficer, 'POST', `/v1/device-groups/${group}/revoke`, { reason: 'superseded' });
    const id = String(json['approvalId']);
    expect((await call(asOfficer, 'POST', `/v1/approvals/${id}/approve`, {})).json['type']).toBe(problem('forbidden'));
    const refused = await call(asApprover, 'POST', `/v1/approvals/${id}/approve`, {});
    expect(refused).toMatchObject({ status: 403, json: { type: problem('samePerson') } });
    const events = await call(tokens.auditor, 'GET', `/v1/audit/events?subject=approval:${id}&outcome=refused`);
    expect(events.json['items']).toEqual([
      expect.objectContaining({
        action: 'approval.executed',
        actor: both.id,
        detail: expect.objectContaining({ code: 'samePerson' }),
      }),
    ]);
    expect((await call(tokens.officer, 'GET', `/v1/device-groups/${group}`)).json['status']).toBe('active');
  });

  test('to a machine token with the role of an approver', async () => {
    const owner = await db.as('owner');
    const { text, seq } = await owner.transaction((tx) =>
      writeToken(tx, api, officer, {
        organizationId: db.authorityId,
        name: 'robot',
        kind: 'machine',
        personId: null,
        createdBy: (officer as Person).personId,
        roles: ['approver'],
        predecessorId: null,
        expiresAt: null,
      }),
    );
    await api.follower.catchUp(seq);
    const { approvalId } = await proposed();
    for (const verb of ['approve', 'reject']) {
      expect(await call(text, 'POST', `/v1/approvals/${approvalId}/${verb}`, {})).toMatchObject({
        status: 403,
        json: { type: problem('approverMustBePerson') },
      });
    }
  });

  test.each([
    ['a digest that is none', { digest: 'x' }],
    ['a digest in capitals', { digest: 'A'.repeat(64) }],
    ['an unknown member', { digest: 'a'.repeat(64), force: true }],
    ['no object', []],
  ])('of a body with %s: 400 or 422, and it stays open', async (_, payload) => {
    const { approvalId } = await proposed();
    const answer = await call(tokens.approver, 'POST', `/v1/approvals/${approvalId}/approve`, payload);
    expect([400, 422]).toContain(answer.status);
    expect((await call(tokens.approver, 'GET', `/v1/approvals/${approvalId}`)).json['state']).toBe('proposed');
  });

  test('of the digest of something else: 409 approvalAltered', async () => {
    const [one, other] = [await proposed(), await proposed()];
    const answer = await call(tokens.approver, 'POST', `/v1/approvals/${one.approvalId}/approve`, {
      digest: other.digest,
    });
    expect(answer).toMatchObject({ status: 409, json: { type: problem('approvalAltered') } });
  });

  test('an altered row is shown without parameters, and not executed', async () => {
    const { approvalId, digest } = await proposed();
    await db.tamper(
      `update approvals set proposal = convert_to(replace(convert_from(proposal, 'UTF8'), 'superseded', 'keyCompromise'), 'UTF8') where id = $1`,
      [approvalId],
    );
    expect((await call(tokens.approver, 'GET', `/v1/approvals/${approvalId}`)).json['parameters']).toBeNull();
    const answer = await call(tokens.approver, 'POST', `/v1/approvals/${approvalId}/approve`, { digest });
    expect(answer).toMatchObject({ status: 409, json: { type: problem('approvalAltered') } });
  });

  test('another organization sees neither the proposal nor that there is one', async () => {
    const testing = (await createOrganization(api, db.operator, { name: 'Lab', kind: 'testing' })).id;
    const stranger = await makeToken(db, await makePerson(db, ['approver'], testing), ['approver']);
    const { approvalId } = await proposed();
    const blank = (answer: Answered, id: string) => answer.body.replaceAll(id, 'ID').replace(/"instance":"[^"]*"/, '');
    for (const [method, verb] of [
      ['GET', ''],
      ['POST', '/approve'],
      ['POST', '/reject'],
      ['POST', '/withdraw'],
    ] as const) {
      const absent = randomUUID();
      const payload = method === 'POST' ? {} : undefined;
      const foreign = await call(stranger, method, `/v1/approvals/${approvalId}${verb}`, payload);
      const none = await call(stranger, method, `/v1/approvals/${absent}${verb}`, payload);
      expect(foreign.status).toBe(404);
      expect(blank(foreign, approvalId)).toBe(blank(none, absent));
    }
    expect((await call(stranger, 'GET', '/v1/approvals')).json['items']).toEqual([]);
  });
});

describe('the list', () => {
  test('is newest first, in pages, by state and operation', async () => {
    const made = [await proposed(), await proposed(), await proposed()].map((one) => one.approvalId).reverse();
    const first = await call(tokens.auditor, 'GET', '/v1/approvals?limit=2&state=proposed&operation=group.revoke');
    const ids = (answer: Answered) => (answer.json['items'] as { id: string }[]).map((one) => one.id);
    expect(ids(first)).toEqual(made.slice(0, 2));
    const cursor = String(first.json['nextCursor']);
    const second = await call(tokens.auditor, 'GET', `/v1/approvals?limit=1&state=proposed&cursor=${cursor}`);
    expect(ids(second)).toEqual(made.slice(2));
    expect(ids(await call(tokens.auditor, 'GET', '/v1/approvals?operation=ca.create'))).toEqual([]);
    for (const query of ['state=open', 'operation=x', 'cursor=x', 'limit=0', 'more=1']) {
      expect([400, 422]).toContain((await call(tokens.auditor, 'GET', `/v1/approvals?${query}`)).status);
    }
  });
});

describe('a whole instance with one operator', () => {
  let instance: TestInstance;
  beforeAll(async () => {
    instance = await startTestInstance({ TOUCHMARK_SINGLE_OPERATOR: 'true' });
  });
  afterAll(() => instance.stop());

  test('revokes a group by its own approval, and the worker brings the devices along', async () => {
    const post = async (path: string, body: unknown) => {
      const answer = await instance.api('POST', path, body);
      expect(answer.status).toBeLessThan(300);
      return answer.json();
    };
    const vendor = await post('/v1/organizations', { name: 'Vendor', kind: 'vendor' });
    const made = await post('/v1/apps', { name: 'App', vendorId: vendor['id'] });
    const group = await post('/v1/device-groups', { name: 'Field test', vendorId: vendor['id'] });
    const device = await post('/v1/devices', { appId: made['id'], groupId: group['id'] });
    const { approvalId, digest } = await post(`/v1/device-groups/${String(group['id'])}/revoke`, {
      reason: 'superseded',
    });
    const done = await post(`/v1/approvals/${String(approvalId)}/approve`, { digest });
    expect(done).toMatchObject({ state: 'executed', singleOperator: true });
    for (let polls = 0; ; polls++) {
      const shown = await instance.api('GET', `/v1/devices/${String(device['id'])}`);
      if (shown.json()['status'] === 'revoked') break;
      if (polls > 200) throw new Error('the device does not follow its group');
      await delay(50);
    }
  });
});
