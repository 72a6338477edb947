import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { registerRelease } from '../harness/device.js';
import type { Reply } from '../harness/http.js';
import { buildProgram } from '../../apps/touchmark/src/program.js';
import { startTestInstance, type TestInstance } from '../harness/instance.js';
import { startMailServer, type MailServer } from '../notices/mail-server.js';
import { startReceiver, webhookHeaders, type Receiver } from '../notices/receiver.js';

let instance: TestInstance;
let receiver: Receiver;
let mails: MailServer;

beforeAll(async () => {
  receiver = await startReceiver();
  mails = await startMailServer();
  instance = await startTestInstance({
    TOUCHMARK_WEBHOOK_NETWORKS: '127.0.0.0/8',
    TOUCHMARK_SMTP_URL: mails.url,
    TOUCHMARK_MAIL_FROM: 'touchmark@authority.test',
  });
});
afterAll(async () => {
  await instance.stop();
  await receiver.stop();
  await mails.stop();
});
beforeEach(() => {
  receiver.received.length = 0;
});

interface Row {
  [member: string]: unknown;
  id: string;
}
const api = (method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply> =>
  instance.api(method, path, body, headers && { headers });

async function expectStatus<T = Row>(reply: Promise<Reply>, status: number): Promise<T> {
  const answer = await reply;
  expect({ status: answer.status, text: answer.text }).toMatchObject({ status });
  return answer.json<T>();
}

const make = (rest: object = {}) =>
  expectStatus<Row & { secret: string }>(
    api('POST', '/v1/webhooks', { url: `${receiver.url}/hook`, events: ['*'], ...rest }),
    201,
  );

test('a webhook is made, tested, seen in its delivery log, replayed, rotated and removed', async () => {
  const { secret, ...webhook } = await make({ description: 'alarms' });
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect(webhook).toMatchObject({ state: 'active', events: ['*'], description: 'alarms', url: `${receiver.url}/hook` });

  const sent = await expectStatus(api('POST', `/v1/webhooks/${webhook.id}/test`), 201);
  expect(sent).toMatchObject({ type: 'webhook.test', state: 'pending', attempts: [] });
  await receiver.until(1);
  const [first] = receiver.received;
  expect(new Webhook(secret).verify(first!.body, webhookHeaders(first!))).toMatchObject({
    type: 'webhook.test',
    data: { id: sent['noticeId'], subject: `webhook:${webhook.id}` },
  });

  const path = `/v1/webhooks/${webhook.id}/deliveries`;
  const delivered = async (): Promise<Row> => {
    for (;;) {
      const { items } = await expectStatus<{ items: Row[] }>(api('GET', path), 200);
      if (items[0]?.['state'] === 'delivered') return items[0];
    }
  };
  expect(await delivered()).toMatchObject({ id: sent.id, attempts: [{ attempt: 1, status: 204 }] });

  await expectStatus(api('POST', `${path}/${sent.id}/replay`), 200);
  await receiver.until(2);
  expect(receiver.received[1]!.headers['webhook-id']).toBe(first!.headers['webhook-id']);
  expect((await delivered())['attempts']).toHaveLength(2);

  const rotated = await expectStatus<Row & { secret: string }>(api('POST', `/v1/webhooks/${webhook.id}/rotate`), 201);
  expect(rotated.secret).not.toBe(secret);
  expect(rotated['previousSecretEndsAt']).toEqual(expect.any(String));

  const shown = [
    await api('GET', `/v1/webhooks/${webhook.id}`),
    await api('GET', '/v1/webhooks'),
    await api('PATCH', `/v1/webhooks/${webhook.id}`, { description: 'x' }),
    await api('GET', path),
    await api('GET', '/v1/audit/events?limit=200'),
  ];
  for (const { status, text } of shown) {
    expect(status).toBe(200);
    for (const one of [secret, rotated.secret]) expect(text).not.toContain(one.slice(6));
  }

  expect(await expectStatus(api('DELETE', `/v1/webhooks/${webhook.id}`), 200)).toMatchObject({ state: 'removed' });
  expect((await api('GET', `/v1/webhooks/${webhook.id}`)).status).toBe(404);
  expect((await api('GET', path)).status).toBe(404);
  expect((await api('POST', `/v1/webhooks/${webhook.id}/test`)).status).toBe(404);
});

test('what is done is sealed, told to the webhook and signed, within seconds', async () => {
  const { secret, ...webhook } = await make({ events: ['device.*', 'key.*'] });
  const { releaseId } = await registerRelease(instance);
  const key = await expectStatus<Row & { key: string }>(
    api('POST', '/v1/keys', { releaseId, audience: 'all', environment: 'test' }),
    201,
  );
  await receiver.until(1);
  const [first] = receiver.received;
  expect(new Webhook(secret).verify(first!.body, webhookHeaders(first!))).toMatchObject({
    type: 'key.issued',
    data: { subject: `key:${key.id}`, releaseId, environment: 'test' },
  });
  expect(first!.body.toString()).not.toContain(key.key.slice(26));
  await expectStatus(api('POST', `/v1/keys/${key.id}/revoke`, { reason: 'keyCompromise' }), 200);
  await receiver.until(2);
  expect(JSON.parse(receiver.received[1]!.body.toString())).toMatchObject({
    type: 'key.leaked',
    data: { subject: `key:${key.id}`, reason: 'keyCompromise' },
  });
  await expectStatus(api('DELETE', `/v1/webhooks/${webhook.id}`), 200);
});

test('a repeated request with one Idempotency-Key makes one webhook and shows the same secret', async () => {
  const body = { url: `${receiver.url}/once`, events: ['key.*'] };
  const headers = { 'idempotency-key': 'notices-spec-0001' };
  const first = await api('POST', '/v1/webhooks', body, headers);
  const again = await api('POST', '/v1/webhooks', body, headers);
  expect(first.status).toBe(201);
  expect(again.text).toBe(first.text);
  expect(again.headers['idempotency-replayed']).toBe('true');
  await expectStatus(api('DELETE', `/v1/webhooks/${first.json<Row>().id}`), 200);
});

describe('refused, and nothing is made', () => {
  const url = 'https://127.0.0.1:9/hook';
  test.each<[string, string, unknown, number, string]>([
    ['a private address', '/v1/webhooks', { url: 'https://10.0.0.1/', events: ['*'] }, 422, 'webhookUrl'],
    ['the metadata service', '/v1/webhooks', { url: 'http://169.254.169.254/', events: ['*'] }, 422, 'webhookUrl'],
    ['a user in the URL', '/v1/webhooks', { url: 'https://u:p@127.0.0.1/', events: ['*'] }, 422, 'webhookUrl'],
    ['no URL', '/v1/webhooks', { url: 'nowhere at all', events: ['*'] }, 422, 'webhookUrl'],
    ['a URL that is no text', '/v1/webhooks', { url: 7, events: ['*'] }, 400, 'malformed'],
    ['no event', '/v1/webhooks', { url, events: [] }, 400, 'malformed'],
    ['an unknown event', '/v1/webhooks', { url, events: ['key.eaten'] }, 400, 'malformed'],
    ['an event twice', '/v1/webhooks', { url, events: ['*', '*'] }, 400, 'malformed'],
    ['51 events', '/v1/webhooks', { url, events: Array.from({ length: 51 }, () => '*') }, 400, 'malformed'],
    ['a secret of its own', '/v1/webhooks', { url, events: ['*'], secret: 'whsec_x' }, 400, 'unknownMember'],
    ['a long description', '/v1/webhooks', { url, events: ['*'], description: 'x'.repeat(201) }, 400, 'malformed'],
    ['a line break in it', '/v1/webhooks', { url, events: ['*'], description: 'a\nb' }, 400, 'malformed'],
    ['two addresses', '/v1/mail-subscriptions', { address: 'a@b.test,c@d.test', events: ['*'] }, 400, 'malformed'],
    ['a header', '/v1/mail-subscriptions', { address: 'a@b.test\r\nBcc: c@d.test', events: ['*'] }, 400, 'malformed'],
    [
      'an unknown digest',
      '/v1/mail-subscriptions',
      { address: 'a@b.test', events: ['*'], digest: 'x' },
      400,
      'malformed',
    ],
  ])('%s', async (_, path, body, status, code) => {
    const before = await instance.api('GET', path);
    const answer = await api('POST', path, body);
    expect({ status: answer.status, type: answer.json()['type'] }).toEqual({
      status,
      type: `urn:touchmark:problem:${code}`,
    });
    expect((await instance.api('GET', path)).text).toBe(before.text);
  });

  test('a change of the URL to a private address', async () => {
    const webhook = await make();
    const answer = await api('PATCH', `/v1/webhooks/${webhook.id}`, { url: 'https://10.0.0.1/' });
    expect(answer.status).toBe(422);
    expect((await expectStatus(api('GET', `/v1/webhooks/${webhook.id}`), 200))['url']).toBe(`${receiver.url}/hook`);
    await expectStatus(api('DELETE', `/v1/webhooks/${webhook.id}`), 200);
  });
});

test.each(['x', '0197b2c4-0000-7000-8000-000000000001', '..%2f'])('the id %p is not found, in one form', async (id) => {
  const absent = [
    await api('GET', `/v1/webhooks/${id}`),
    await api('PATCH', `/v1/webhooks/${id}`, { url: 'https://10.0.0.1/' }),
    await api('DELETE', `/v1/webhooks/${id}`),
    await api('POST', `/v1/webhooks/${id}/rotate`),
    await api('POST', `/v1/webhooks/${id}/test`),
    await api('GET', `/v1/webhooks/${id}/deliveries`),
    await api('POST', `/v1/webhooks/${id}/deliveries/${id}/replay`),
    await api('GET', `/v1/mail-subscriptions/${id}`),
    await api('PATCH', `/v1/mail-subscriptions/${id}`, {}),
    await api('DELETE', `/v1/mail-subscriptions/${id}`),
  ];
  expect(absent.map(({ status }) => status)).toEqual(absent.map(() => 404));
});

test('a mail subscription is made, listed, changed and ended; each step leaves its audit entry', async () => {
  const made = await expectStatus(
    api('POST', '/v1/mail-subscriptions', { address: 'ops@vendor.test', events: ['certificate.*', 'ca.expiring'] }),
    201,
  );
  expect(made).toMatchObject({ digest: 'daily', state: 'active' });
  const path = `/v1/mail-subscriptions/${made.id}`;
  expect(await expectStatus(api('PATCH', path, { digest: 'hourly' }), 200)).toMatchObject({
    digest: 'hourly',
    events: ['certificate.*', 'ca.expiring'],
  });
  const { items } = await expectStatus<{ items: Row[] }>(api('GET', '/v1/mail-subscriptions'), 200);
  expect(items.map(({ id }) => id)).toEqual([made.id]);
  expect(await expectStatus(api('DELETE', path), 200)).toMatchObject({ state: 'removed' });
  expect((await api('GET', path)).status).toBe(404);
  const trail = await api('GET', `/v1/audit/events?subject=mailSubscription:${made.id}`);
  expect(trail.json<{ items: Row[] }>().items.map(({ action }) => action)).toEqual([
    'mailSubscription.removed',
    'mailSubscription.changed',
    'mailSubscription.created',
  ]);
  expect(trail.text).not.toContain('ops@vendor.test');
});

test('the command line does the same', async () => {
  const token = path.join(instance.home, 'cli.token');
  const root = path.join(instance.home, 'cli-root.pem');
  await writeFile(token, instance.operatorToken);
  await writeFile(root, instance.rootPem);
  const cli = async (...args: string[]): Promise<string> => {
    let printed = '';
    const write = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
    try {
      const where = ['--url', instance.urls.api, '--token-file', token, '--ca', root];
      await buildProgram().parseAsync(['node', 'touchmark', ...args, ...where]);
    } finally {
      write.mockRestore();
    }
    return printed;
  };
  const made = await cli('webhook', 'create', `${receiver.url}/cli`, '--events', 'key.*,ca.expiring');
  const id = /^id +(\S+)/m.exec(made)?.[1] ?? '';
  expect(made).toMatch(/^secret +whsec_\S+$/m);
  expect(made).toContain('shown only here');
  expect(await cli('webhook', 'list')).toMatch(new RegExp(`${id} +active +key\\.\\*, ca\\.expiring`));
  expect(await cli('webhook', 'test', id)).toMatch(/^type +webhook\.test$/m);
  await receiver.until(1);
  let log = '';
  while (!log.includes('delivered')) log = await cli('webhook', 'deliveries', id);
  const delivery = /^([0-9a-f-]{36}) +delivered +webhook\.test/m.exec(log)?.[1] ?? '';
  expect(await cli('webhook', 'replay', id, delivery)).toMatch(/^state +pending$/m);
  await receiver.until(2);
  expect(await cli('webhook', 'rotate', id)).toMatch(/^secret +whsec_\S+$/m);
  expect(await cli('webhook', 'remove', id)).toMatch(/^state +removed$/m);
  expect(await cli('webhook', 'list')).not.toContain(id);

  const subscribed = await cli('mail', 'create', 'ops@vendor.test', '--events', '*', '--digest', 'hourly');
  const subscription = /^id +(\S+)/m.exec(subscribed)?.[1] ?? '';
  expect(await cli('mail', 'list')).toMatch(new RegExp(`${subscription} +hourly +\\* +ops@vendor\\.test`));
  expect(await cli('mail', 'remove', subscription)).toMatch(/^state +removed$/m);
  expect(await cli('mail', 'list')).toBe('None.\n');
});

test('the event types are told with what they mean', async () => {
  const { items } = await expectStatus<{ items: { type: string; description: string }[] }>(
    api('GET', '/v1/event-types'),
    200,
  );
  expect(items.length).toBeGreaterThan(20);
  expect(items).toContainEqual({ type: 'key.leaked', description: expect.any(String) });
});
