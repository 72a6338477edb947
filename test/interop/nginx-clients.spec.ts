import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  crlsListing,
  currentCrls,
  enrollDevice,
  openLaboratory,
  revoke,
  type EnrolledDevice,
  type Laboratory,
} from './enrolled.js';
import { startNginx, type Nginx } from './nginx.js';
import { describeWith, run, succeed } from './program.js';
import { eventually } from './server.js';

/** A provider's front end that knows our root, our issuing CA and our CRLs, and nothing else of us. */
describeWith(['nginx', 'openssl', 'curl'], 'nginx with ssl_verify_client', () => {
  let laboratory: Laboratory;
  let device: EnrolledDevice;
  let other: EnrolledDevice;
  let nginx: Nginx;

  beforeAll(async () => {
    laboratory = await openLaboratory();
    device = await enrollDevice(laboratory);
    other = await enrollDevice(laboratory);
    const { file } = laboratory;
    await succeed('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'],
      ...['-keyout', file('server.key'), '-out', file('server.pem'), '-subj', '/CN=provider'],
      ...['-addext', 'subjectAltName=IP:127.0.0.1'],
    ]);
    await laboratory.write(
      'clients.pem',
      laboratory.instance.rootPem + (await succeed('openssl', ['x509', '-in', laboratory.issuing])),
    );
    await currentCrls(laboratory, device);
    nginx = await startNginx(
      laboratory,
      'clients',
      (port) => `listen 127.0.0.1:${port} ssl; ssl_protocols TLSv1.2 TLSv1.3;
  ssl_certificate ${file('server.pem')}; ssl_certificate_key ${file('server.key')};
  ssl_client_certificate ${file('clients.pem')}; ssl_verify_client on; ssl_verify_depth 2; ssl_crl ${file('crls.pem')};
  ssl_session_cache off; ssl_session_tickets off;
  location / { return 200 "$ssl_client_verify $ssl_client_s_dn\\n"; }`,
    );
  });
  afterAll(async () => {
    await nginx?.stop();
    await laboratory?.close();
  });

  const visit = async (identity: readonly string[]) => {
    const url = `https://127.0.0.1:${nginx.port}/`;
    const { all } = await run('curl', [
      '-sS',
      '--cacert',
      laboratory.file('server.pem'),
      ...identity,
      '-w',
      '%{http_code}',
      url,
    ]);
    return all;
  };
  const as = (who: EnrolledDevice) => ['--cert', who.certificateFile, '--key', who.keyFile];

  test('an enrolled device is let in, on TLS 1.2 and 1.3, and its name arrives', async () => {
    for (const version of ['1.2', '1.3']) {
      expect(await visit([...as(device), `--tlsv${version}`, '--tls-max', version])).toBe(
        `SUCCESS CN=${device.id}\n200`,
      );
    }
  });

  test('nobody without a certificate, and nobody with one of another CA', async () => {
    expect(await visit([])).toMatch(/400 No required SSL certificate[^]*400$/);
    const foreign = ['--cert', laboratory.file('server.pem'), '--key', laboratory.file('server.key')];
    expect(await visit(foreign)).toMatch(/400 The SSL certificate error[^]*400$/);
  });

  test('after its revocation, with a fresh CRL and a reload, it is refused; another device is not', async () => {
    await revoke(laboratory, device.serial);
    await crlsListing(laboratory, device);
    nginx.signal('SIGHUP');
    // While it reloads, workers with the old CRL still answer some connections.
    const refused = await eventually(
      async () => {
        const answer = await visit(as(device));
        return answer.endsWith('400') && answer;
      },
      { within: 5000, what: 'nginx refuses the device' },
    );
    expect(refused).toContain('The SSL certificate error');
    expect(await visit(as(other))).toBe(`SUCCESS CN=${other.id}\n200`);
  });
});
