import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { fromPem } from '#pki';
import { certificateOf, csrOf, newKey, registerRelease, registerTestDevice, simpleEnroll } from '../harness/device.js';
import type { Reply } from '../harness/http.js';
import { startTestInstance, type TestInstance } from '../harness/instance.js';

let instance: TestInstance;
let owner: { vendorId: string; appId: string; releaseId: string };

beforeAll(async () => {
  instance = await startTestInstance();
  owner = await registerRelease(instance);
});
afterAll(() => instance.stop());

interface Row {
  [member: string]: unknown;
  id: string;
  status: string;
}
interface Page {
  items: Row[];
  nextCursor: string | null;
}
const api = (method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply> =>
  instance.api(method, path, body, headers && { headers });

async function expectStatus<T = Row>(reply: Promise<Reply>, status: number): Promise<T> {
  const answer = await reply;
  expect({ status: answer.status, text: answer.text }).toMatchObject({ status });
  return answer.json<T>();
}
const introspect = async (token: string): Promise<Row> => {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  return (await instance.api('POST', '/v1/introspect', `token=${token}`, { headers })).json<Row>();
};
const newKeyBody = () => ({ releaseId: owner.releaseId, audience: 'all', environment: 'test' });

describe('the life of a key', () => {
  it('is issued once shown, rotated, suspended, resumed and revoked, and introspection follows at once', async () => {
    const issued = await expectStatus(api('POST', '/v1/keys', newKeyBody()), 201);
    expect(issued).toMatchObject({
      status: 'active',
      releaseId: owner.releaseId,
      audience: 'all',
      environment: 'test',
    });
    const key = String(issued['key']);
    expect(await introspect(key)).toMatchObject({ active: true, id: issued.id, status: 'active' });

    const successor = await expectStatus(api('POST', `/v1/keys/${issued.id}/rotate`, { overlapSeconds: 60 }), 201);
    expect(successor).toMatchObject({ status: 'active', predecessorId: issued.id });
    const old = await api('GET', `/v1/keys/${issued.id}`);
    expect(old.json<Row>()).toMatchObject({
      status: 'retiring',
      successorId: successor.id,
      endsAt: expect.any(String),
    });
    expect(old.text).not.toContain(key.slice(26));

    await expectStatus(api('POST', `/v1/keys/${successor.id}/suspend`), 200);
    expect(await introspect(String(successor['key']))).toMatchObject({ active: false, reason: 'suspended' });
    await expectStatus(api('POST', `/v1/keys/${successor.id}/resume`), 200);
    const receipt = await expectStatus(
      api('POST', `/v1/keys/${successor.id}/revoke`, { reason: 'keyCompromise' }),
      200,
    );
    expect(receipt).toMatchObject({
      id: successor.id,
      status: 'revoked',
      visibleBy: { introspection: expect.any(String) },
    });
    expect(await introspect(String(successor['key']))).toMatchObject({ active: false, reason: 'revoked' });
    await expectStatus(api('POST', `/v1/keys/${successor.id}/resume`), 409);

    const listed = await expectStatus<Page>(api('GET', `/v1/keys?releaseId=${owner.releaseId}&status=revoked`), 200);
    expect(listed.items.map(({ id }) => id)).toEqual([successor.id]);
    const events = await expectStatus<Page>(api('GET', `/v1/audit/events?subject=key:${successor.id}`), 200);
    expect(events.items.map((event) => event['action'])).toEqual([
      'key.revoked',
      'key.resumed',
      'key.suspended',
      'key.rotated',
    ]);
  });
});

describe('creating once', () => {
  it('answers a repetition with the same key, and another request under the same Idempotency-Key with 409', async () => {
    const app = await registerRelease(instance);
    const body = { releaseId: app.releaseId, audience: 'all', environment: 'live' };
    const headers = { 'idempotency-key': 'order-0001' };
    const first = await api('POST', '/v1/keys', body, headers);
    const again = await api('POST', '/v1/keys', body, headers);
    expect([first.status, again.status]).toEqual([201, 201]);
    expect(again.json()).toEqual(first.json());
    expect(first.json<Row>().status).toBe('active');
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect((await introspect(String(first.json<Row>()['key'])))['active']).toBe(true);
    const other = await api('POST', '/v1/keys', { ...body, environment: 'test' }, headers);
    expect(other.json<Row>()).toMatchObject({ type: 'urn:touchmark:problem:idempotencyKeyReused', status: 409 });
    const listed = await expectStatus<Page>(api('GET', `/v1/keys?releaseId=${app.releaseId}`), 200);
    expect(listed.items).toHaveLength(1);
    await expectStatus(api('POST', '/v1/keys', body, { 'idempotency-key': 'short' }), 400);
  });
});

describe('what cannot be', () => {
  it.each<[string, string, () => unknown, number]>([
    [
      'an unknown release',
      '/v1/keys',
      () => ({ ...newKeyBody(), releaseId: '01900000-0000-7000-8000-000000000000' }),
      422,
    ],
    ['a release id of impossible form', '/v1/keys', () => ({ ...newKeyBody(), releaseId: 'x' }), 422],
    ['an unknown provider', '/v1/keys', () => ({ ...newKeyBody(), audience: { providers: ['x'] } }), 422],
    ['an unknown vendor', '/v1/apps', () => ({ name: 'x', vendorId: 'x' }), 422],
    ['an end in the past', '/v1/keys', () => ({ ...newKeyBody(), expiresAt: '2020-01-01T00:00:00Z' }), 422],
    ['an unknown profile', '/v1/devices', () => ({ appId: owner.appId, profile: 'root-ca' }), 422],
  ])('is refused naming the member: %s', async (_, path, body, status) => {
    const problem = await expectStatus(api('POST', path, body()), status);
    expect(problem['member']).toEqual(expect.any(String));
  });

  it('a taken instanceId is a conflict, audited, whoever holds it', async () => {
    const device = await registerTestDevice(instance, owner);
    const taken = { appId: owner.appId, instanceId: device.instanceId };
    const problem = await expectStatus(api('POST', '/v1/devices', taken), 409);
    expect(JSON.stringify(problem)).not.toContain(device.id);
    const events = await expectStatus<Page>(
      api('GET', '/v1/audit/events?action=device.registered&outcome=refused'),
      200,
    );
    const refused = events.items.filter((one) => JSON.stringify(one['detail']).includes(device.instanceId));
    expect(refused).toHaveLength(1);
    const listed = await expectStatus<Page>(api('GET', `/v1/devices?appId=${owner.appId}`), 200);
    expect(listed.items.filter((row) => row['instanceId'] === device.instanceId)).toHaveLength(1);
  });

  it('an unknown id answers 404 as one of impossible form does', async () => {
    const texts = new Set<string>();
    for (const id of ['01900000-0000-7000-8000-000000000000', 'x']) {
      for (const path of [
        `/v1/devices/${id}`,
        `/v1/apps/${id}`,
        `/v1/organizations/${id}`,
        `/v1/device-groups/${id}`,
      ]) {
        const problem = await expectStatus(api('GET', path), 404);
        texts.add(`${path.split('/')[2]}: ${String(problem['detail'])}`);
      }
    }
    expect(texts.size).toBe(4);
    await expectStatus(api('POST', '/v1/keys/AAAAAAAAAAAAAA/revoke', { reason: 'superseded' }), 404);
    await expectStatus(api('POST', '/v1/certificates/0102/revoke', { reason: 'superseded' }), 404);
    expect((await expectStatus<Page>(api('GET', '/v1/certificates?deviceId=x'), 200)).items).toEqual([]);
  });
});

describe('devices and certificates', () => {
  it('a device, its certificate and its revocation are seen everywhere in the same words', async () => {
    const group = await expectStatus(
      api('POST', '/v1/device-groups', { name: 'kiosks', vendorId: owner.vendorId }),
      201,
    );
    const device = await registerTestDevice(instance, owner);
    const moved = await expectStatus(api('PATCH', `/v1/devices/${device.id}`, { groupId: group.id }), 200);
    expect(moved).toMatchObject({ groupId: group.id, releaseId: owner.releaseId, status: 'registered' });

    const certificate = certificateOf(await simpleEnroll(instance, device, csrOf(device, newKey())));
    expect((await expectStatus(api('GET', `/v1/devices/${device.id}`), 200)).status).toBe('enrolled');
    const listed = await expectStatus<Page>(api('GET', `/v1/certificates?deviceId=${device.id}&status=active`), 200);
    const serial = String(listed.items[0]?.['serial']);
    const sha256 = createHash('sha256').update(certificate).digest('hex');
    expect(listed.items[0]).toMatchObject({
      sha256,
      names: [`uri:urn:uuid:${device.instanceId}`],
      releaseId: owner.releaseId,
    });
    const shown = await expectStatus(api('GET', `/v1/certificates/${serial.replace(/^0+/, '').toUpperCase()}`), 200);
    expect(fromPem(String(shown['pem']))).toEqual([certificate]);
    const lines = await expectStatus(api('GET', `/v1/certificates/${serial}/fingerprints`), 200);
    const colons = sha256.toUpperCase().replace(/..(?=.)/g, '$&:');
    expect(lines['fingerprints']).toEqual([`a=fingerprint:sha-256 ${colons}`]);

    const csv = await api('GET', `/v1/certificates?deviceId=${device.id}`, undefined, { accept: 'text/csv' });
    expect(csv.headers['content-type']).toMatch(/^text\/csv/);
    expect(csv.text.split('\r\n')).toHaveLength(3);
    expect(csv.text).toContain(`"${serial}","active"`);

    await expectStatus(api('POST', `/v1/certificates/${serial}/revoke`, { reason: 'certificateHold' }), 200);
    expect((await expectStatus(api('GET', `/v1/certificates/${serial}`), 200)).status).toBe('onHold');
    await expectStatus(api('POST', `/v1/certificates/${serial}/release`), 200);
    await expectStatus(api('POST', `/v1/certificates/${serial}/release`), 409);
    await expectStatus(api('POST', `/v1/devices/${device.id}/revoke`, { reason: 'cessationOfOperation' }), 200);
    expect(await expectStatus(api('GET', `/v1/certificates/${serial}`), 200)).toMatchObject({
      status: 'revoked',
      reason: 'cessationOfOperation',
      revokedAt: expect.any(String),
    });
    // A revoked device comes back only by a second person.
    expect(await expectStatus(api('POST', `/v1/devices/${device.id}/reset`), 202)).toMatchObject({
      approvalId: expect.any(String),
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      expiresAt: expect.any(String),
    });
    expect(await expectStatus(api('GET', `/v1/devices/${device.id}`), 200)).toMatchObject({ status: 'revoked' });
  });

  it('lists page by page without loss or repetition, newest first', async () => {
    const made: string[] = [];
    for (let i = 0; i < 5; i++) made.unshift((await registerTestDevice(instance, owner)).id);
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null && seen.length < 5) {
      const next: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const page: Page = await expectStatus<Page>(api('GET', `/v1/devices?limit=2${next}`), 200);
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    }
    expect(seen.slice(0, 5)).toEqual(made);
  });

  it('tells the issuers and profiles it works by', async () => {
    const issuers = await expectStatus<Page>(api('GET', '/v1/issuers'), 200);
    expect(issuers.items.map((issuer) => issuer['kind'])).toEqual(['root', 'issuing']);
    const profiles = await expectStatus<Page>(api('GET', '/v1/profiles'), 200);
    expect(profiles.items.map((profile) => profile['name'])).toContain('device');
  });
});
