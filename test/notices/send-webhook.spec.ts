import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { WebhookGuard, WebhookSender } from '#authority';
import { systemClock } from '#kernel';
import { selfSigned } from '../est/self-signed.js';
import { startReceiver, type Receiver } from './receiver.js';

const BODY = Buffer.from('{"type":"webhook.test"}');
const LOOPBACK = ['127.0.0.0/8'];
const DEADLINE_MS = 700;

let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver();
});
afterAll(() => receiver.stop());
afterEach(() => {
  receiver.answer = 204;
  receiver.received.length = 0;
});

const sender = (guard = new WebhookGuard(LOOPBACK), ca?: string): WebhookSender =>
  new WebhookSender({ guard, clock: systemClock, deadlineMs: DEADLINE_MS, ca });
const send = (url: string, by = sender()) => by.send({ url, headers: { 'webhook-id': 'n1' }, body: BODY });

test('the notice is posted as JSON, with the headers given, to path and query of the URL', async () => {
  const result = await send(`${receiver.url}/hook?a=1`);
  expect(result).toMatchObject({ status: 204, error: undefined });
  expect(receiver.received).toHaveLength(1);
  expect(receiver.received[0]).toMatchObject({
    url: '/hook?a=1',
    body: BODY,
    headers: {
      'content-type': 'application/json',
      'webhook-id': 'n1',
      host: `127.0.0.1:${receiver.port}`,
      connection: 'close',
    },
  });
});

test.each([200, 201, 202, 204, 299])('%i is a delivery', async (status) => {
  receiver.answer = status;
  expect(await send(receiver.url)).toMatchObject({ status, error: undefined });
});

test.each([400, 401, 404, 410, 429, 500, 503])('%i is a failure with its status', async (status) => {
  receiver.answer = status;
  expect(await send(receiver.url)).toMatchObject({ status, error: 'status' });
});

test.each([300, 301, 302, 303, 307, 308])('a redirect (%i) is a failure and is not followed', async (status) => {
  receiver.answer = (request, response) => {
    response.writeHead(request.url === '/' ? status : 200, { location: `${receiver.url}/elsewhere` }).end();
  };
  expect(await send(receiver.url)).toMatchObject({ status, error: 'redirect' });
  expect(receiver.received.map(({ url }) => url)).toEqual(['/']);
});

test('who answers nothing is left at the deadline', async () => {
  receiver.answer = () => undefined;
  const result = await send(receiver.url);
  expect(result).toMatchObject({ status: undefined, error: 'timeout' });
  expect(result.durationMs).toBeGreaterThanOrEqual(DEADLINE_MS - 50);
  expect(result.durationMs).toBeLessThan(DEADLINE_MS + 500);
});

test('an answer that drips for ever is cut at the deadline; its status counts', async () => {
  receiver.answer = (_, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write('x'), 20);
    response.on('close', () => clearInterval(timer));
  };
  const result = await send(receiver.url);
  expect(result).toMatchObject({ status: 200, error: undefined });
  expect(result.durationMs).toBeLessThan(DEADLINE_MS + 500);
});

test('an endless answer is cut after 16 KiB: no more than the buffers of the connection are taken', async () => {
  let written = 0;
  const closed = Promise.withResolvers<void>();
  receiver.answer = (_, response) => {
    response.writeHead(200);
    const chunk = Buffer.alloc(8192);
    const fill = (): void => {
      while (!response.destroyed && response.write(chunk)) written += chunk.length;
    };
    response.on('drain', fill);
    response.on('close', () => closed.resolve());
    fill();
  };
  const result = await send(receiver.url);
  await closed.promise;
  expect(result).toMatchObject({ status: 200, error: undefined });
  expect(result.durationMs).toBeLessThan(DEADLINE_MS);
  expect(written).toBeLessThan(16 * 1024 * 1024);
});

test('nobody listening is a failed connection', async () => {
  const other = await startReceiver();
  await other.stop();
  expect(await send(other.url)).toMatchObject({ status: undefined, error: 'connection' });
});

test('what is no HTTP is a failed connection', async () => {
  receiver.answer = (request) => {
    request.socket.end('hello\r\n\r\n');
  };
  expect(await send(receiver.url)).toMatchObject({ status: undefined, error: 'connection' });
});

describe('addresses are judged at every try', () => {
  test('a network that is not allowed is never connected to', async () => {
    expect(await send(receiver.url, sender(new WebhookGuard([])))).toMatchObject({
      status: undefined,
      error: 'target',
    });
    expect(receiver.received).toEqual([]);
  });

  test('a name that has come to mean this machine is refused', async () => {
    const answers = [['8.8.8.8'], ['127.0.0.1']];
    const guard = new WebhookGuard([], () => Promise.resolve(answers.shift() ?? ['127.0.0.1']));
    const url = `https://rebind.example:${receiver.port}/`;
    await guard.check(url);
    expect(await send(url, sender(guard))).toMatchObject({ status: undefined, error: 'target' });
    expect(receiver.received).toEqual([]);
  });

  test('the connection goes to the address that was judged; the name is not asked for again', async () => {
    let asked = 0;
    const guard = new WebhookGuard(LOOPBACK, () => {
      asked++;
      return Promise.resolve(['127.0.0.1']);
    });
    // No resolver knows this name: only the pinned address can have been used.
    const result = await send(`http://pinned.invalid:${receiver.port}/`, sender(guard));
    expect(result).toMatchObject({ status: 204 });
    expect(asked).toBe(1);
    expect(receiver.received[0]?.headers.host).toBe(`pinned.invalid:${receiver.port}`);
  });
});

describe('by TLS', () => {
  let secure: Receiver;
  let cert: string;
  beforeAll(async () => {
    const made = await selfSigned('hook.example');
    cert = made.cert;
    secure = await startReceiver(made);
  });
  afterAll(() => secure.stop());

  const guard = new WebhookGuard(LOOPBACK, () => Promise.resolve(['127.0.0.1']));

  test('the certificate is checked for the name in the URL, not for the address', async () => {
    const url = `https://hook.example:${secure.port}/`;
    expect(await send(url, sender(guard, cert))).toMatchObject({ status: 204, error: undefined });
    expect(secure.received).toHaveLength(1);
  });

  test('a certificate for another name gets nothing', async () => {
    secure.received.length = 0;
    const url = `https://other.example:${secure.port}/`;
    expect(await send(url, sender(guard, cert))).toMatchObject({ status: undefined, error: 'certificate' });
    expect(secure.received).toEqual([]);
  });

  test('a certificate of nobody we trust gets nothing', async () => {
    const url = `https://hook.example:${secure.port}/`;
    expect(await send(url, sender(guard))).toMatchObject({ status: undefined, error: 'certificate' });
    expect(secure.received).toEqual([]);
  });
});
