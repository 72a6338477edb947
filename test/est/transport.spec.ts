import { once } from 'node:events';
import { connect as connectPlain } from 'node:net';
import { connect, type SecureVersion, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toPem } from '#pki';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { basic, csrOf, newKey } from '../harness/device.js';
import { makeDevice, makeEnrolled } from '../harness/fixtures.js';
import { openEst, type EstPlane } from './access/plane.js';
import { httpsRequest } from './https-request.js';

let db: TestDatabase;
let plane: EstPlane;
let port: number;
beforeAll(async () => {
  db = await startTestDatabase();
  plane = await openEst(db);
  port = Number(new URL(plane.base).port);
});
afterAll(async () => {
  await plane?.close();
  await db?.stop();
});

test.each(['GET /.well-known/est/cacerts', 'POST /.well-known/est/simpleenroll'])(
  'plain HTTP to the port of EST gets not one octet: %s (E01)',
  async (line) => {
    const socket = connectPlain(port, '127.0.0.1');
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => parts.push(part)).on('error', () => undefined);
    const closed = once(socket, 'close');
    socket.write(`${line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    await closed;
    // An alert of TLS at most, which is no HTTP.
    expect(Buffer.concat(parts).toString('latin1')).not.toMatch(/HTTP|MII/);
  },
);

describe.each<SecureVersion>(['TLSv1.2', 'TLSv1.3'])('over %s a certificate of the client', (version) => {
  const tls = { rejectUnauthorized: false, minVersion: version, maxVersion: version };

  test('is asked for in the first handshake and not demanded (E12)', async () => {
    const cacerts = await httpsRequest(plane.base, '/.well-known/est/cacerts', tls);
    expect(cacerts.status).toBe(200);
    const { device, certificate, key } = await makeEnrolled(db);
    const ask = (identity: object) => {
      const body = csrOf(device, newKey()).toString('base64');
      const headers = { 'content-type': 'application/pkcs10' };
      const options = { ...tls, ...identity, method: 'POST', headers, body };
      return httpsRequest(plane.base, '/.well-known/est/simplereenroll', options);
    };
    // On a connection of its own, which never renegotiates: it was asked for when the connection was made.
    expect((await ask({ cert: toPem('CERTIFICATE', certificate), key: key.pem })).status).toBe(200);
    expect((await ask({})).status).toBe(401);
  });
});

test('a client that wants to renegotiate does not get to (E12)', async () => {
  const socket: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.2' });
  await once(socket, 'secureConnect');
  const refused = once(socket, 'error', { signal: AbortSignal.timeout(5000) });
  socket.renegotiate({}, () => undefined);
  const [error] = (await refused) as [Error & { code: string }];
  expect(error.code).toBe('ERR_SSL_NO_RENEGOTIATION');
  socket.destroy();
});

test('nothing that is posted to enroll is redirected, however its path or host is written (E14)', async () => {
  const { device, secret } = await makeDevice(db);
  const paths = [
    '/.well-known/est/simpleenroll/',
    '//.well-known/est/simpleenroll',
    '/.well-known/est//simpleenroll',
    '/.well-known/est/SimpleEnroll',
    '/.well-known/est',
    '/.well-known/est/device/simpleenroll?x=1',
    '/.well-known/est/simpleenroll',
  ];
  for (const path of paths) {
    for (const host of ['localhost', 'elsewhere.example']) {
      const answer = await httpsRequest(plane.base, path, {
        method: 'POST',
        rejectUnauthorized: false,
        headers: { host, authorization: basic(device.id, secret), 'content-type': 'application/pkcs10' },
        body: csrOf(device, newKey()).toString('base64'),
      });
      const redirected = Math.floor(answer.status / 100) === 3;
      expect({ path, host, redirected, to: answer.headers.location }).toEqual({ path, host, redirected: false });
    }
  }
});
