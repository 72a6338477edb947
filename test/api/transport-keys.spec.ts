import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes, randomUUID } from 'node:crypto';
import { registerTestDevice, type Registered } from '../harness/device.js';
import { startTestInstance, type TestInstance } from '../harness/instance.js';

let instance: TestInstance;
let device: Registered;
beforeAll(async () => {
  instance = await startTestInstance();
  device = await registerTestDevice(instance);
});
afterAll(() => instance.stop());

const path = (identifier = '6b657937', id = device.id) => `/v1/devices/${id}/transport-keys/${identifier}`;
const list = async (): Promise<unknown[]> =>
  (await instance.api('GET', `/v1/devices/${device.id}/transport-keys`)).json<{ items: unknown[] }>().items;

describe('the symmetric keys of a device', () => {
  it('are registered, shown without the key, replaced and removed, each with an audit entry', async () => {
    const key = randomBytes(32).toString('base64');
    const made = await instance.api('PUT', path(), { key });
    expect(made.json()).toEqual({
      deviceId: device.id,
      keyIdentifier: '6b657937',
      bits: 256,
      createdAt: expect.any(String),
    });
    expect(made.text).not.toContain(key.slice(0, 20));
    expect((await instance.api('PUT', path(), { key: randomBytes(16).toString('base64') })).json()).toMatchObject({
      bits: 128,
    });
    expect(await list()).toHaveLength(1);
    expect((await instance.api('DELETE', path())).status).toBe(200);
    expect((await instance.api('DELETE', path())).status).toBe(404);
    expect(await list()).toHaveLength(0);
    for (const [action, count] of [
      ['transportKey.registered', 2],
      ['transportKey.removed', 1],
    ] as const) {
      const { items } = (await instance.api('GET', `/v1/audit/events?action=${action}`)).json<{ items: unknown[] }>();
      expect(items).toHaveLength(count);
      expect(JSON.stringify(items)).not.toContain(key);
    }
  });

  it.each<[string, unknown, number]>([
    ['of 15 octets', { key: randomBytes(15).toString('base64') }, 422],
    ['of 24 octets', { key: randomBytes(24).toString('base64') }, 422],
    ['in base64url', { key: '_'.repeat(22) }, 422],
    ['without a key', {}, 422],
  ])('%s are refused', async (_, body, status) => {
    const answer = await instance.api('PUT', path(), body);
    expect([400, status]).toContain(answer.status);
    expect(await list()).toHaveLength(0);
  });

  it('of an unknown device, or under an identifier that can be none, are 404', async () => {
    const body = { key: randomBytes(16).toString('base64') };
    expect((await instance.api('PUT', path('01', randomUUID()), body)).status).toBe(404);
    expect((await instance.api('PUT', path('xyz'), body)).status).toBe(404);
    expect((await instance.api('GET', `/v1/devices/${randomUUID()}/transport-keys`)).status).toBe(404);
  });

  it('are at most eight', async () => {
    const body = () => ({ key: randomBytes(16).toString('base64') });
    for (let n = 1; n <= 8; n++) expect((await instance.api('PUT', path(`0${n}`), body())).status).toBe(200);
    expect((await instance.api('PUT', path('09'), body())).status).toBe(409);
    expect((await instance.api('PUT', path('08'), body())).status).toBe(200);
  });
});
