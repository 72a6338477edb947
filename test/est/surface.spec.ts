import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { request as send } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect, type SecureVersion, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createEst, renewTls } from '#apps/est';
import { der, encodeAttribute, encodeCsr, fromPem, OID, readCertsOnly, readPublicKey } from '#pki';
import { offlineAuthority } from '../api/offline-authority.js';
import { httpsRequest, type HttpsAnswer } from './https-request.js';
import { selfSigned } from './self-signed.js';
import { silentClients } from './silent-clients.js';

let app: Awaited<ReturnType<typeof createEst>>;
let base: string;
let bag: Buffer[];
let notReady: string[] = [];
const lines: string[] = [];

beforeAll(async () => {
  const offline = offlineAuthority();
  const tls = await selfSigned();
  bag = fromPem(tls.cert);
  app = await createEst({
    config: offline.config,
    authority: { ...offline.authority, plane: 'est' },
    tls,
    cacerts: () => Promise.resolve(bag),
    registry: new Registry(),
    log: pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }),
    readiness: () => Promise.resolve(notReady),
  });
  await app.listen(0, '127.0.0.1');
  base = `https://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`;
});

afterAll(() => app.close());

type Options = NonNullable<Parameters<typeof httpsRequest>[2]>;
const call = (method: string, path: string, options: Options = {}): Promise<HttpsAnswer> =>
  httpsRequest(base, path, { method, rejectUnauthorized: false, ...options });

const ENROLL = '/.well-known/est/simpleenroll';
const enroll = (body: Buffer | string, headers: Record<string, string> = {}, path = ENROLL) =>
  call('POST', path, { headers: { 'content-type': 'application/pkcs10', ...headers }, body });

function csr(challengePassword?: string): Buffer {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const attributes =
    challengePassword === undefined ? [] : [encodeAttribute(OID.challengePassword, der.utf8String(challengePassword))];
  return encodeCsr(
    { subject: [[{ type: OID.commonName, value: 'x' }]], publicKey: readPublicKey(spki), attributes },
    privateKey,
  );
}

function expectText(answer: HttpsAnswer, status: number, text: RegExp): void {
  expect({ status: answer.status, text: answer.text }).toEqual({ status, text: expect.stringMatching(text) });
  expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
  expect(answer.headers['cache-control']).toBe('no-store');
  expect(answer.headers['content-length']).toBe(String(answer.body.length));
  expect(answer.text).toMatch(/^[^\n]+\n$/);
}

describe('cacerts', () => {
  it('answers without any authentication, at every form of path, in base64 of its length (E04, E05, E20, E23, E23b, E30, E35)', async () => {
    for (const path of [
      '/.well-known/est/cacerts',
      '/.well-known/est/device/cacerts',
      '/device/.well-known/est/cacerts',
    ]) {
      const answer = await call('GET', path);
      expect(answer.status).toBe(200);
      expect(answer.headers['content-type']).toMatch(/^application\/pkcs7-mime/);
      expect(answer.headers['content-length']).toBe(String(answer.body.length));
      expect(answer.headers['transfer-encoding']).toBeUndefined();
      expect(answer.headers['content-transfer-encoding']).toBeUndefined();
      expect(answer.text).toMatch(/^[A-Za-z0-9+/]+=*\n$/);
      expect(readCertsOnly(Buffer.from(answer.text, 'base64'))).toEqual(bag);
    }
  });

  it('comes in lines for libest, keeps its ETag while the set stays, and answers 304 and HEAD (E23a, E36)', async () => {
    const lined = await call('GET', '/.well-known/est/cacerts', { headers: { 'user-agent': 'libest 3.2' } });
    expect(Math.max(...lined.text.split('\n').map((line) => line.length))).toBe(64);
    const first = await call('GET', '/.well-known/est/cacerts');
    const etag = String(first.headers.etag);
    const again = await call('GET', '/.well-known/est/cacerts', { headers: { 'if-none-match': `"x", W/${etag}` } });
    expect([again.status, again.body.length, again.headers.etag]).toEqual([304, 0, etag]);
    const head = await call('HEAD', '/.well-known/est/cacerts');
    expect([head.status, head.body.length, head.headers['content-length']]).toEqual([
      200,
      0,
      String(first.body.length),
    ]);
  });
});

describe('what the path and the head decide', () => {
  it.each([
    '/.well-known/est/other/cacerts',
    '/other/.well-known/est/cacerts',
    '/.well-known/est/Device/cacerts',
    '/.well-known/est/cacerts/cacerts',
    '/.well-known/est/device/x/cacerts',
    '/.well-known/est//cacerts',
    '/.well-known/est/../est/cacerts',
    '/.well-known/est/dev%2Fice/cacerts',
    '/.well-known/est/%zz/cacerts',
    '/.well-known/est/%ff/cacerts',
    '/.well-known/est/',
    '/.well-known/est',
    '/cacerts',
    `/${'a'.repeat(1100)}/.well-known/est/cacerts`,
  ])('answers 404 in text: %s (E07, EX17)', async (path) => {
    expectText(await call('GET', path), 404, /./);
  });

  it.each(['serverkeygen', 'fullcmc'])('says that %s is not offered (E10, E100)', async (operation) => {
    for (const method of ['GET', 'POST']) {
      expectText(await call(method, `/.well-known/est/${operation}`), 404, new RegExp(`${operation} is not offered`));
    }
  });

  it('answers 405 with Allow to the wrong method (E09, EX23)', async () => {
    for (const [method, operation, allow] of [
      ['GET', 'simpleenroll', 'POST'],
      ['PUT', 'simplereenroll', 'POST'],
      ['POST', 'cacerts', 'GET, HEAD'],
      ['DELETE', 'cacerts', 'GET, HEAD'],
    ] as const) {
      const answer = await call(method, `/.well-known/est/${operation}`);
      expectText(answer, 405, /allows/);
      expect(answer.headers.allow).toBe(allow);
    }
  });

  it('answers 415 to another type, to none and to a compressed body, before it looks at the body (EX04, EX28)', async () => {
    const body = csr().toString('base64');
    expectText(await enroll(body, { 'content-type': 'application/json' }), 415, /application\/pkcs10/);
    expectText(await call('POST', ENROLL, { body }), 415, /no Content-Type/);
    expectText(await enroll(body, { 'content-encoding': 'gzip' }), 415, /Content-Encoding/);
    expectText(await enroll('', { 'content-type': 'nonsense' }), 415, /application\/pkcs10/);
  });
});

describe('bodies', () => {
  const good = csr();
  const broken = Buffer.from(good);
  broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
  const deep = (depth: number): Buffer => (depth === 0 ? Buffer.alloc(0) : der.sequence(deep(depth - 1)));

  it.each<[string, string | Buffer, number, RegExp]>([
    ['empty (EX05)', '', 400, /empty/],
    ['not base64 (EX01)', '!!!!', 400, /base64/],
    ['base64url (EX01)', 'ab-_', 400, /base64/],
    ['wrong padding (EX01)', 'QUJD=', 400, /padding/],
    [
      'PEM (E24)',
      `-----BEGIN CERTIFICATE REQUEST-----\n${good.toString('base64')}\n-----END CERTIFICATE REQUEST-----`,
      400,
      /PEM/,
    ],
    ['raw DER (E20)', good, 400, /base64/],
    ['truncated DER (EX02)', good.subarray(0, -9).toString('base64'), 400, /CSR/],
    ['trailing octets (EX03)', Buffer.concat([good, Buffer.of(5, 0)]).toString('base64'), 400, /CSR/],
    ['indefinite length (EX03)', Buffer.from('3080020100000000', 'hex').toString('base64'), 400, /CSR/],
    ['nested too deeply (EX07)', deep(200).toString('base64'), 400, /CSR/],
    ['a length that is not there (EX07)', Buffer.from('3084ffffffff', 'hex').toString('base64'), 400, /CSR/],
    ['a wrong signature (EX08)', broken.toString('base64'), 400, /CSR/],
  ])('answers 400 telling why: %s', async (_, body, status, text) => {
    expectText(await enroll(body), status, text);
  });

  it('takes 64 KiB and no octet more, told beforehand or not (EX06)', async () => {
    expectText(await enroll(' '.repeat(65_536)), 400, /empty/);
    expectText(await enroll(' '.repeat(65_537)), 413, /65536/);
    const chunked = await new Promise<number>((resolve, reject) => {
      const outgoing = send(
        `${base}${ENROLL}`,
        {
          method: 'POST',
          agent: false,
          rejectUnauthorized: false,
          headers: { 'content-type': 'application/pkcs10', 'transfer-encoding': 'chunked' },
        },
        (incoming) => {
          incoming.resume();
          resolve(incoming.statusCode ?? 0);
        },
      );
      outgoing.on('error', reject);
      outgoing.end(' '.repeat(65_537));
    });
    expect(chunked).toBe(413);
  });

  it('reads white space anywhere and does not care for Content-Transfer-Encoding, nor for the case of a type and its parameters (E21, E22, E25)', async () => {
    const spaced = good.toString('base64').replace(/.{10}/g, '$& \t\r\n');
    for (const encoding of ['base64', 'binary', 'junk']) {
      expectText(
        await enroll(spaced, { 'content-transfer-encoding': encoding, 'content-type': 'Application/PKCS10; x=y' }),
        401,
        /./,
      );
    }
  });

  it('asks for credentials with a Basic challenge once the request itself is sound (EX11, EX13, E43, E44)', async () => {
    const answer = await enroll(good.toString('base64'));
    expectText(answer, 401, /./);
    expect(answer.headers['www-authenticate']).toBe('Basic realm="Touchmark EST", charset="UTF-8"');
    expectText(await enroll(good.toString('base64'), { authorization: 'Basic !!!' }), 400, /Authorization/);
    expectText(await enroll(good.toString('base64'), { authorization: '  ' }), 400, /Authorization/);
  });

  it('gives problem+json only to who names it (E90)', async () => {
    const answer = await enroll('!!!!', { accept: 'application/problem+json' });
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(JSON.parse(answer.text)).toMatchObject({ type: 'urn:touchmark:problem:malformed', status: 400 });
    expectText(await enroll('!!!!', { accept: '*/*' }), 400, /base64/);
  });
});

describe('linking to the connection', () => {
  /** Opens a connection, lets `bind` compute the challenge on it, and enrolls over it. */
  async function enrollLinked(
    version: SecureVersion,
    bind: (socket: TLSSocket) => Buffer,
    secureOptions = 0,
  ): Promise<HttpsAnswer> {
    const { port } = app.getHttpServer().address() as AddressInfo;
    const socket = connect({
      host: '127.0.0.1',
      port,
      rejectUnauthorized: false,
      minVersion: version,
      maxVersion: version,
      secureOptions,
    });
    await once(socket, 'secureConnect');
    const body = csr(bind(socket).toString('base64')).toString('base64');
    const answer = await httpsRequest(base, ENROLL, {
      method: 'POST',
      headers: { 'content-type': 'application/pkcs10' },
      body,
      agent: undefined,
      createConnection: () => socket,
      rejectUnauthorized: false,
    });
    socket.destroy();
    return answer;
  }
  const finished = (socket: TLSSocket): Buffer => socket.getFinished() ?? Buffer.alloc(0);
  const exported = (socket: TLSSocket): Buffer =>
    socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));

  it('goes on to authentication when the challengePassword fits, on TLS 1.2 and 1.3 (E61, E65)', async () => {
    expectText(await enrollLinked('TLSv1.2', finished), 401, /./);
    expectText(await enrollLinked('TLSv1.3', exported), 401, /./);
  });

  it('answers 400 telling that linking failed when it does not (E61, E63, E64, EX22)', async () => {
    expectText(await enrollLinked('TLSv1.2', () => Buffer.alloc(12)), 400, /Linking .* failed/);
    expectText(await enrollLinked('TLSv1.2', exported), 400, /Linking .* failed/);
    expectText(await enrollLinked('TLSv1.3', finished), 400, /Linking .* failed/);
    expectText(await enrollLinked('TLSv1.2', finished, 1), 400, /extended master secret/);
  });
});

describe('the plane itself', () => {
  it('closes connections that never finish a handshake, and those that never leave after an answer', async () => {
    const server = app.getHttpServer();
    expect(server.maxConnections).toBe(4096);
    const { handshakes, answered } = await silentClients(server);
    expect(Math.max(...handshakes)).toBeLessThan(14_000);
    expect(answered).toBeLessThan(3000);
  });

  it('answers text to what is no HTTP, and ends the connection (EX29)', async () => {
    const { port } = app.getHttpServer().address() as AddressInfo;
    for (const text of [
      'GARBAGE\r\n\r\n',
      `POST ${ENROLL} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ]) {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      socket.end(text);
      let answer = '';
      for await (const chunk of socket) answer += String(chunk);
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(answer).toContain('Content-Type: text/plain');
    }
  });

  it('lives, and is ready only without reasons', async () => {
    expect((await call('GET', '/healthz')).text).toBe('{"status":"ok"}');
    expect((await call('GET', '/readyz')).status).toBe(200);
    notReady = ['no issuing CA yet'];
    const answer = await call('GET', '/readyz');
    notReady = [];
    expect([answer.status, answer.text.includes('no issuing CA yet')]).toEqual([503, true]);
  });

  it('logs the operation and never the URL or a credential', async () => {
    await enroll('!!!!', { authorization: 'Basic c2VjcmV0LXVzZXI6c2VjcmV0' }, `${ENROLL}?secret=hunter2`);
    const log = lines.join('');
    expect(log).toContain('"route":"simpleenroll"');
    expect(log).not.toMatch(/hunter2|c2VjcmV0/);
  });

  it('shows a renewed certificate to the next connection', async () => {
    const renewed = await selfSigned();
    renewTls(app, renewed);
    const { port } = app.getHttpServer().address() as AddressInfo;
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    expect(socket.getPeerX509Certificate()?.raw).toEqual(fromPem(renewed.cert)[0]);
    socket.destroy();
    expect((await call('GET', '/.well-known/est/cacerts')).status).toBe(200);
  });
});
