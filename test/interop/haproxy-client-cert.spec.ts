import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readCertificate, readCertsOnly } from '#pki';
import { csrOf, newKey, registerTestDevice } from '../harness/device.js';
import { selfSignedIdentity } from '../harness/manufacturer.js';
import { selfSigned } from '../est/self-signed.js';
import { enrollDevice, openLaboratory, revoke, type EnrolledDevice, type Laboratory } from './enrolled.js';
import { describeWith, run } from './program.js';
import { freePort, startServer, type ServerProcess } from './server.js';

/** The configuration of docs/PROXY.md, before an instance of ours. */
describeWith(['haproxy', 'curl', 'openssl'], 'HAProxy that ends TLS before the EST plane', () => {
  let laboratory: Laboratory;
  let haproxy: ServerProcess | undefined;
  let port: number;
  let device: EnrolledDevice;

  beforeAll(async () => {
    const proxy = await selfSignedIdentity();
    laboratory = await openLaboratory({
      TOUCHMARK_SINGLE_OPERATOR: 'true',
      TOUCHMARK_EST_PROXIES: readCertificate(proxy.der).publicKey.sha256.toString('hex'),
    });
    const { instance, write } = laboratory;
    const { key, cert } = await selfSigned();
    await write('est-with-key.pem', `${cert}\n${key}`);
    await write('client-cas.pem', cert);
    await write('proxy-with-key.pem', `${proxy.cert}\n${proxy.key}`);
    await write('root-ca.pem', instance.rootPem);
    const label = { profile: 'device', authentication: ['secret', 'certificate'], proxy: true };
    const { approvalId } = (await instance.api('PUT', '/v1/est-labels/behind', label)).json<{ approvalId: string }>();
    expect((await instance.api('POST', `/v1/approvals/${approvalId}/approve`, {})).status).toBe(200);
    device = await enrollDevice(laboratory);
    port = await freePort();
    const [, text = ''] = /<!-- haproxy -->\s+```text\n([^]*?)```/.exec(await readFile('docs/PROXY.md', 'utf8')) ?? [];
    const settings = text
      .replaceAll('/etc/touchmark/', `${laboratory.directory}/`)
      .replace('bind :443', `bind 127.0.0.1:${port}`)
      .replace('127.0.0.1:8443', new URL(instance.urls.est).host);
    const defaults = 'defaults\n  mode http\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n';
    haproxy = await startServer('haproxy', ['-db', '-f', await write('haproxy.cfg', defaults + settings)], port);
  });
  afterAll(async () => {
    await haproxy?.stop();
    await laboratory?.close();
  });

  async function post(operation: string, body: Buffer, more: readonly string[]): Promise<[number, string]> {
    const request = await laboratory.write('request.b64', body.toString('base64'));
    const { all } = await run('curl', [
      ...['-sSk', '-H', 'Content-Type: application/pkcs10', '--data-binary', `@${request}`, '-w', '\n%{http_code}'],
      ...more,
      `https://127.0.0.1:${port}/.well-known/est/behind/${operation}`,
    ]);
    const at = all.lastIndexOf('\n');
    return [Number(all.slice(at + 1)), all.slice(0, at)];
  }
  const renewal = () => csrOf(device, newKey());
  const shows = ({ certificateFile, keyFile }: EnrolledDevice) => ['--cert', certificateFile, '--key', keyFile];

  test('hands over certificates, and nothing that a client forges (T01, T04, T05, T09)', async () => {
    const forged = `:${device.certificate.toString('base64')}:`;
    const [status, text] = await post('simplereenroll', renewal(), shows(device));
    expect([status, text.slice(0, 80)]).toEqual([200, expect.any(String)]);
    const [renewed] = readCertsOnly(Buffer.from(text, 'base64'));
    expect(readCertificate(renewed!).san).toEqual([{ type: 'uri', value: `urn:uuid:${device.instanceId}` }]);
    for (const name of ['Client-Cert', 'Client-Cert-Chain', 'client-cert']) {
      expect((await post('simplereenroll', renewal(), ['-H', `${name}: ${forged}`]))[0]).toBe(401);
    }
    const other = await enrollDevice(laboratory);
    const twice = [...shows(device), '-H', `Client-Cert: :${other.certificate.toString('base64')}:`];
    expect((await post('simplereenroll', csrOf(other, newKey()), twice))[0]).toBe(400);
    const fresh = await registerTestDevice(laboratory.instance);
    expect((await post('simpleenroll', csrOf(fresh, newKey()), ['-u', `:${fresh.secret}`]))[0]).toBe(200);
    await revoke(laboratory, other.serial);
    expect((await post('simplereenroll', csrOf(other, newKey()), shows(other)))[0]).toBe(403);
  }, 60_000);

  test('a resumed session still has its certificate (T09)', async () => {
    const session = laboratory.file('session.pem');
    const connect = (more: readonly string[]) => {
      const body = renewal().toString('base64');
      const head = `POST /.well-known/est/behind/simplereenroll HTTP/1.1\r\nHost: est\r\nContent-Type: application/pkcs10\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
      return run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_2', '-ign_eof', ...more], {
        input: `${head}${body}`,
      });
    };
    const files = ['-cert', device.certificateFile, '-key', device.keyFile];
    expect((await connect([...files, '-sess_out', session])).all).toMatch(/HTTP\/1\.1 200/);
    const { all } = await connect(['-sess_in', session]);
    expect(all).toContain('Reused, TLSv1.2');
    expect(all).toMatch(/HTTP\/1\.1 200/);
  }, 60_000);
});
