import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readCertificate } from '#pki';
import { certificateOf, csrOf, newKey, registerTestDevice, simpleEnroll } from '../harness/device.js';
import { type Reply } from '../harness/http.js';
import { startTestInstance, type TestInstance } from '../harness/instance.js';

let instance: TestInstance;
beforeAll(async () => {
  instance = await startTestInstance();
});
afterAll(() => instance.stop());

interface Advice {
  suggestedWindow: { start: string; end: string };
  now: boolean;
}

async function enrolled(): Promise<{ serial: string; reply: Reply }> {
  const device = await registerTestDevice(instance);
  const reply = await simpleEnroll(instance, device, csrOf(device, newKey()));
  return { serial: readCertificate(certificateOf(reply)).serial, reply };
}
const ask = (serial: string, method = 'GET', headers: Record<string, string> = {}): Promise<Reply> =>
  instance.status(`/.well-known/touchmark/renewal/${serial}`, { method, headers });

describe('the status plane', () => {
  test('says when a certificate is to be renewed, as its answer said, and at once when somebody calls for it', async () => {
    const before = await enrolled();
    const { items } = (await instance.api('GET', '/v1/issuers')).json<{ items: { id: string; kind: string }[] }>();
    const issuing = items.find(({ kind }) => kind === 'issuing')!;
    await new Promise((resolve) => setTimeout(resolve, 20));
    const called = await instance.api('POST', `/v1/issuers/${issuing.id}/renew-now`, { reason: 'drill' });
    expect(called.json()).toMatchObject({ kind: 'issuer', id: issuing.id });
    expect((await ask(before.serial)).json<Advice>()).toMatchObject({ now: true });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const after = await enrolled();
    const answer = await ask(after.serial);
    const { suggestedWindow, now } = answer.json<Advice>();
    expect(now).toBe(false);
    const [start, end] = [suggestedWindow.start, suggestedWindow.end].map((time) => Date.parse(time) / 1000);
    expect(after.reply.headers['renewal-window']).toBe(`start=${start}, end=${end}`);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'max-age=3600, public, no-transform, must-revalidate',
    });
    const unchanged = await ask(after.serial, 'GET', { 'if-none-match': String(answer.headers.etag) });
    expect([unchanged.status, unchanged.text]).toEqual([304, '']);
    expect((await ask(after.serial, 'HEAD')).status).toBe(200);
    expect((await ask(after.serial, 'POST')).status).toBe(405);
  });

  test('says the same about everything that is no good certificate', async () => {
    const { serial } = await enrolled();
    await instance.api('POST', `/v1/certificates/${serial}/revoke`, { reason: 'superseded' });
    const absent = await ask('01'.repeat(16));
    expect(absent.status).toBe(404);
    for (let tries = 0; (await ask(serial)).status !== 404 && tries < 100; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    for (const other of [serial, serial.toUpperCase(), 'zz', '1', '0'.repeat(42), '%00', `${serial}/x`]) {
      const answer = await ask(other);
      expect([answer.status, answer.headers['cache-control']]).toEqual([404, 'no-store']);
      if (!other.includes('/') && !other.includes('%')) expect(answer.text).toBe(absent.text);
    }
  });
});
