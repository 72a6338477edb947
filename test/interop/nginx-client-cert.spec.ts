import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { readCertificate, readCertsOnly, toPem } from '#pki';
import { csrOf, newKey, registerTestDevice } from '../harness/device.js';
import { selfSignedIdentity, type ClientIdentity } from '../harness/manufacturer.js';
import { selfSigned } from '../est/self-signed.js';
import { enrollDevice, openLaboratory, revoke, type EnrolledDevice, type Laboratory } from './enrolled.js';
import { startNginx, type Nginx } from './nginx.js';
import { describeWith, run, succeed } from './program.js';

/** The configurations of docs/PROXY.md, before an instance of ours. */
describeWith(['nginx', 'curl', 'sh'], 'nginx that ends TLS before the EST plane', () => {
  let laboratory: Laboratory;
  let proxy: ClientIdentity;
  let nginx: Nginx | undefined;
  let device: EnrolledDevice;
  let map: string;
  let server: string;
  const socket = path.join(tmpdir(), `est-${randomUUID().slice(0, 8)}.sock`);

  beforeAll(async () => {
    proxy = await selfSignedIdentity();
    laboratory = await openLaboratory({
      TOUCHMARK_SINGLE_OPERATOR: 'true',
      TOUCHMARK_EST_PROXIES: readCertificate(proxy.der).sha256.toString('hex'),
      TOUCHMARK_EST_PROXY_SOCKET: socket,
    });
    const document = await readFile('docs/PROXY.md', 'utf8');
    const [, script = ''] = /<!-- nginx-map -->\s+```sh\n([^]*?)```/.exec(document) ?? [];
    [, server = ''] = /<!-- nginx-server -->\s+```nginx\n([^]*?)```/.exec(document) ?? [];
    await succeed('sh', ['-u'], { input: script, cwd: laboratory.directory });
    map = `include ${laboratory.file('client-cert.map')};`;
    const { key, cert } = await selfSigned();
    await laboratory.write('est.key', key);
    await laboratory.write('est.pem', cert);
    await laboratory.write('proxy.key', proxy.key);
    await laboratory.write('proxy.pem', proxy.cert);
    await laboratory.write('root-ca.pem', laboratory.instance.rootPem);
    await makeLabel();
    device = await enrollDevice(laboratory);
  });
  afterEach(async () => {
    await nginx?.stop();
    nginx = undefined;
  });
  afterAll(() => laboratory?.close());

  async function makeLabel(): Promise<void> {
    const { api } = laboratory.instance;
    const label = { profile: 'device', authentication: ['secret', 'certificate'], proxy: true };
    const { approvalId } = (await api('PUT', '/v1/est-labels/behind', label)).json<{ approvalId: string }>();
    expect((await api('POST', `/v1/approvals/${approvalId}/approve`, {})).status).toBe(200);
  }

  /** By the configuration as it is written, with its files and addresses those of the laboratory. */
  const start = (change: (text: string) => string = (text) => text) =>
    startNginx(
      laboratory,
      'terminating',
      (port) =>
        `listen 127.0.0.1:${port} ssl;\n${change(server)
          .replaceAll('/etc/touchmark/', `${laboratory.directory}/`)
          .replace('https://127.0.0.1:8443', laboratory.instance.urls.est)}`,
      map,
    );

  async function post(operation: string, body: Buffer, more: readonly string[]): Promise<[number, string]> {
    const request = await laboratory.write('request.b64', body.toString('base64'));
    const { all } = await run('curl', [
      ...['-sSk', '-H', 'Content-Type: application/pkcs10', '--data-binary', `@${request}`, '-w', '\n%{http_code}'],
      ...more,
      `https://127.0.0.1:${nginx?.port}/.well-known/est/behind/${operation}`,
    ]);
    const at = all.lastIndexOf('\n');
    return [Number(all.slice(at + 1)), all.slice(0, at)];
  }

  const forged = () => `Client-Cert: :${device.certificate.toString('base64')}:`;
  const renewal = () => csrOf(device, newKey());
  const itself = () => ['--cert', device.certificateFile, '--key', device.keyFile];

  test.each([
    ['over TLS, known by its certificate', (text: string) => text],
    [
      'by the Unix socket',
      (text: string) =>
        text.replace(/proxy_pass [^;]+;/, `proxy_pass http://unix:${socket}:;`).replace(/^ *proxy_ssl_[^;]+;\n/gm, ''),
    ],
  ])('%s: hands over certificates, and nothing that a client forges (T01, T04, T05, T09)', async (_name, change) => {
    nginx = await start(change);
    const [status, text] = await post('simplereenroll', renewal(), itself());
    expect([status, text.slice(0, 80)]).toEqual([200, expect.any(String)]);
    const [renewed] = readCertsOnly(Buffer.from(text, 'base64'));
    expect(readCertificate(renewed!).san).toEqual([{ type: 'uri', value: `urn:uuid:${device.instanceId}` }]);
    // Whoever has no certificate has none by saying so.
    expect((await post('simplereenroll', renewal(), ['-H', forged()]))[0]).toBe(401);
    expect((await post('simplereenroll', renewal(), ['-H', `Client-Cert-Chain: ${forged().slice(13)}`]))[0]).toBe(401);
    // What the client itself holds counts, whatever it says of another.
    const other = await enrollDevice(laboratory);
    const [refused] = await post('simplereenroll', csrOf(other, newKey()), [...itself(), '-H', forged()]);
    expect(refused).toBe(400);
    const fresh = await registerTestDevice(laboratory.instance);
    const [enrolled] = await post('simpleenroll', csrOf(fresh, newKey()), ['-u', `:${fresh.secret}`]);
    expect(enrolled).toBe(200);
    await revoke(laboratory, other.serial);
    const holder = ['--cert', other.certificateFile, '--key', other.keyFile];
    expect((await post('simplereenroll', csrOf(other, newKey()), holder))[0]).toBe(403);
    expect(toPem('CERTIFICATE', renewed!)).toContain('BEGIN');
  });

  test('a resumed session still has its certificate (T09)', async () => {
    nginx = await start();
    const session = laboratory.file('session.pem');
    const connect = (more: readonly string[]) => {
      const body = renewal().toString('base64');
      const head = `POST /.well-known/est/behind/simplereenroll HTTP/1.1\r\nHost: est\r\nContent-Type: application/pkcs10\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
      return run('openssl', ['s_client', '-connect', `127.0.0.1:${nginx?.port}`, '-tls1_2', '-ign_eof', ...more], {
        input: `${head}${body}`,
      });
    };
    const files = ['-cert', device.certificateFile, '-key', device.keyFile];
    expect((await connect([...files, '-sess_out', session])).all).toMatch(/HTTP\/1\.1 200/);
    const { all } = await connect(['-sess_in', session]);
    expect(all).toContain('Reused, TLSv1.2');
    expect(all).toMatch(/HTTP\/1\.1 200/);
  });
});
