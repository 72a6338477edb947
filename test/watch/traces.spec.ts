import { createServer, type Server } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { certificateOf, csrOf, newKey, registerTestDevice, simpleEnroll } from '../harness/device.js';
import { startTestInstance, type TestInstance } from '../harness/instance.js';
import { readCertificate } from '#pki';

interface SentSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  attributes: { key: string; value: Record<string, unknown> }[];
}

/** A collector that speaks OTLP over HTTP (JSON), as far as it is spoken to. */
class Collector {
  readonly bodies: string[] = [];
  private readonly server: Server;

  constructor() {
    this.server = createServer((request, response) => {
      let text = '';
      request.setEncoding('utf8');
      request.on('data', (chunk: string) => (text += chunk));
      request.on('end', () => {
        if (request.url === '/v1/traces') this.bodies.push(text);
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  spans(): SentSpan[] {
    return this.bodies.flatMap((body) => {
      const { resourceSpans } = JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: SentSpan[] }[] }[] };
      return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans));
    });
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

const collector = new Collector();
let instance: TestInstance;
const secrets: string[] = [];

beforeAll(async () => {
  instance = await startTestInstance({ OTEL_EXPORTER_OTLP_ENDPOINT: await collector.listen() });
  secrets.push(instance.operatorToken);
});
afterAll(async () => {
  await instance.stop();
  await collector.close();
});

async function eventually<T>(what: string, find: () => T | undefined, limitMs = 20_000): Promise<T> {
  const limit = performance.now() + limitMs;
  for (;;) {
    const found = find();
    if (found !== undefined) return found;
    if (performance.now() > limit) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const parentsOf = (spans: SentSpan[], span: SentSpan): string[] => {
  const parent = spans.find(({ spanId }) => spanId === span.parentSpanId);
  return parent === undefined ? [] : [parent.name, ...parentsOf(spans, parent)];
};

test('one trace joins the request to revoke, its statements, and the jobs that publish it', async () => {
  const device = await registerTestDevice(instance);
  secrets.push(device.secret);
  const certificate = certificateOf(await simpleEnroll(instance, device, csrOf(device, newKey())));
  const { serial } = readCertificate(certificate);
  const reply = await instance.api('POST', `/v1/certificates/${serial}/revoke`, { reason: 'keyCompromise' });
  expect(reply.status).toBe(200);

  const route = 'POST /v1/certificates/:serial/revoke';
  const request = await eventually('the request', () => collector.spans().find(({ name }) => name === route));
  const joined = await eventually('both jobs in the trace of the request', () => {
    const spans = collector.spans().filter(({ traceId }) => traceId === request.traceId);
    return spans.some(({ name }) => name === 'job crl.publish') && spans.some(({ name }) => name === 'job ocsp.publish')
      ? spans
      : undefined;
  });
  const named = (name: string): SentSpan => joined.find((span) => span.name === name)!;
  expect(parentsOf(joined, named('insert audit'))).toEqual([route]);
  expect(parentsOf(joined, named('job ocsp.publish'))).toEqual(expect.arrayContaining([route]));
  expect(parentsOf(joined, named('job crl.publish'))).toEqual(expect.arrayContaining([route]));
  expect(parentsOf(joined, named('signer crl')).slice(0, 1)).toEqual(['job crl.publish']);
  expect(
    joined.some(({ name, ...span }) => name === 'commit' && parentsOf(joined, { name, ...span })[0] === route),
  ).toBe(true);
});

test('an enrollment is one trace with its statements and the signature', async () => {
  const device = await registerTestDevice(instance);
  secrets.push(device.secret);
  certificateOf(await simpleEnroll(instance, device, csrOf(device, newKey())));
  const request = await eventually('the enrollment', () =>
    collector.spans().findLast(({ name }) => name === 'POST /.well-known/est/*'),
  );
  const spans = collector.spans().filter(({ traceId }) => traceId === request.traceId);
  expect(spans.map(({ name }) => name)).toEqual(expect.arrayContaining(['signer certificate', 'update serials']));
});

test('a body that comes later than its head belongs to the same trace', async () => {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const body = JSON.stringify({ name: 'Slow vendor', kind: 'vendor' });
  const sent = httpsRequest(`${instance.urls.api}/v1/organizations`, {
    method: 'POST',
    agent: false,
    ca: instance.rootPem,
    headers: {
      authorization: `Bearer ${instance.operatorToken}`,
      'content-type': 'application/json',
      'content-length': body.length,
    },
  });
  sent.on('response', (response) => resolve(response.resume().statusCode));
  sent.on('error', reject);
  sent.flushHeaders();
  for (const part of [body.slice(0, 10), body.slice(10)]) {
    await new Promise((done) => setTimeout(done, 100));
    sent.write(part);
  }
  sent.end();
  expect(await promise).toBe(201);
  const request = await eventually('the request', () =>
    collector.spans().findLast(({ name }) => name === 'POST /v1/organizations'),
  );
  const spans = collector.spans().filter(({ traceId }) => traceId === request.traceId);
  expect(spans.map(({ name }) => name)).toContain('insert organizations');
});

test('what is asked all the time makes no trace, nor does what nobody asked for', async () => {
  await instance.api('GET', '/healthz');
  await instance.api('GET', '/readyz');
  const marker = await instance.api('GET', '/v1/issuers');
  expect(marker.status).toBe(200);
  await eventually('a later request', () => collector.spans().find(({ name }) => name === 'GET /v1/issuers'));
  const roots = collector.spans().filter(({ parentSpanId }) => parentSpanId === undefined || parentSpanId === '');
  expect(roots.filter(({ name }) => /healthz|readyz/.test(name))).toEqual([]);
  expect(roots.filter(({ name }) => !/^(GET|POST|PUT|PATCH|DELETE|job) /.test(name))).toEqual([]);
});

test('a traceparent from outside is not followed', async () => {
  const foreign = '4bf92f3577b34da6a3ce929d0e0e4736';
  await instance.api('GET', '/v1/profiles', undefined, {
    headers: { traceparent: `00-${foreign}-00f067aa0ba902b7-01` },
  });
  await eventually('the request', () => collector.spans().find(({ name }) => name === 'GET /v1/profiles'));
  expect(collector.bodies.join('\n')).not.toContain(foreign);
});

test('no secret is in what was sent: keys, tokens, one-time secrets, what stood in bodies and headers', async () => {
  const { releaseId } = await registerTestDevice(instance);
  const issued = await instance.api('POST', '/v1/keys', { releaseId, audience: 'all', environment: 'live' });
  const { key } = issued.json<{ key: string }>();
  secrets.push(key);
  const canaries = ['canary-in-header', 'canary-in-body', 'canary-in-query', 'canary-in-token', 'canary-in-password'];
  await instance.api('POST', '/v1/organizations', { name: canaries[1], kind: 'vendor' });
  await instance.api('GET', `/v1/certificates?q=${canaries[2]}`, undefined, { headers: { 'x-canary': canaries[0]! } });
  await instance.api('GET', '/v1/apps', undefined, { token: canaries[3]! });
  await instance.est('/.well-known/est/simpleenroll', {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`nobody:${canaries[4]}`).toString('base64')}`,
      'content-type': 'application/pkcs10',
    },
    body: csrOf({ id: 'x', instanceId: '00000000-0000-4000-8000-000000000000' }, newKey()).toString('base64'),
  });
  await instance.api('POST', '/v1/introspect', `token=${key}`, {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  await instance.api('GET', '/v1/organizations');
  await eventually('the last request', () => collector.spans().find(({ name }) => name === 'GET /v1/organizations'));
  const sent = collector.bodies.join('\n');
  expect([...canaries, ...secrets].filter((secret) => sent.includes(secret))).toEqual([]);
});
