import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readCrl } from '#pki';
import { startDnsServer, type DnsServer } from '../harness/dns-server.js';
import { crlOf, openLaboratory, revoke, type Laboratory } from './enrolled.js';
import { enrollEveryProfile, HOME, PROFILES, type Holder, type ProfileName } from './every-profile.js';
import { startNginx, type Nginx } from './nginx.js';
import { describeWith, run, succeed } from './program.js';
import { eventually } from './server.js';

/** Those with id-kp-clientAuth; ike-peer and tls-server are without. */
const CLIENTS = ['device', 'device-short-lived', 'ra', 'sip-domain', 'sip-user', 'im-user'] as const;
/** Those with id-kp-serverAuth. */
const SERVERS = ['tls-server', 'sip-domain'] as const;
/** Of each profile the one with this key is revoked. */
const REVOKED = 'rsa-2048';

describeWith(['nginx', 'openssl', 'curl', 'certtool'], 'every profile and key type', () => {
  let dns: DnsServer;
  let laboratory: Laboratory;
  let holders: Holder[];
  let nginx: Nginx;

  beforeAll(async () => {
    dns = await startDnsServer();
    laboratory = await openLaboratory({ TOUCHMARK_DNS_SERVERS: dns.address, TOUCHMARK_SINGLE_OPERATOR: 'true' });
    holders = await enrollEveryProfile(laboratory, dns);
    await writeCrls();
    nginx = await startProvider();
    await makeImpostor();
  });
  afterAll(async () => {
    await nginx?.stop();
    await laboratory?.close();
    await dns?.stop();
  });

  const of = (...profiles: readonly ProfileName[]) => holders.filter(({ profile }) => profiles.includes(profile));
  const holder = (profile: ProfileName, keyType: string) => of(profile).find((one) => one.keyType === keyType)!;

  /** The full CRL of the issuing CA, which has no distribution point in it, and that of the root. */
  async function writeCrls(): Promise<Set<string>> {
    const { body } = await laboratory.instance.status(`/crl/${laboratory.issuingId}.crl`);
    const full = await succeed('openssl', ['crl', '-inform', 'DER'], { input: body });
    await laboratory.write('crls.pem', full + (await crlOf(laboratory, laboratory.issuing)));
    return new Set([...readCrl(body).entries()].map(({ serial }) => serial));
  }

  /** A host for each certificate of a server, all of which let in whom our CAs vouch for. */
  async function startProvider(): Promise<Nginx> {
    const { file } = laboratory;
    await laboratory.write(
      'clients.pem',
      laboratory.instance.rootPem + (await succeed('openssl', ['x509', '-in', laboratory.issuing])),
    );
    const host = (port: number, { host: name, chainFile, keyFile }: Holder) =>
      `listen 127.0.0.1:${port} ssl; server_name ${name}; ssl_certificate ${chainFile}; ssl_certificate_key ${keyFile};
  location / { return 200 "$ssl_client_verify $ssl_client_serial\\n"; }`;
    const client = `ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets off;
ssl_client_certificate ${file('clients.pem')}; ssl_verify_client on; ssl_verify_depth 2; ssl_crl ${file('crls.pem')};
server_names_hash_bucket_size 128;`;
    const blocks = (port: number) =>
      of(...SERVERS)
        .map((one) => host(port, one))
        .join('\n}\nserver {\n');
    return startNginx(laboratory, 'profiles', blocks, client);
  }

  /** Somebody else's CA of the same name as ours, and a certificate by it. */
  async function makeImpostor(): Promise<void> {
    const { file, issuing } = laboratory;
    const name = (
      await succeed('openssl', ['x509', '-in', issuing, '-noout', '-subject', '-nameopt', 'compat'])
    ).trim();
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
    const subject = name.replace(/^subject= ?/, '').trim();
    await succeed('openssl', [
      ...['req', '-x509', ...key, '-keyout', file('false-ca.key'), '-out', file('false-ca.pem')],
      ...['-subj', subject],
    ]);
    await succeed('openssl', [
      ...['req', '-x509', ...key, '-keyout', file('impostor.key'), '-out', file('impostor.pem')],
      ...['-CA', file('false-ca.pem'), '-CAkey', file('false-ca.key'), '-subj', `/CN=${HOME}`],
      ...['-addext', 'extendedKeyUsage=clientAuth', '-addext', 'basicConstraints=critical,CA:false'],
    ]);
  }

  const visit = async (
    { certificateFile, keyFile }: Pick<Holder, 'certificateFile' | 'keyFile'>,
    { host, version = '1.3' }: { host?: string; version?: string } = {},
  ): Promise<string> => {
    const name = host ?? holder('tls-server', 'ec-p256').host;
    const { all } = await run('curl', [
      ...['-sS', '--cacert', laboratory.root, '--cert', certificateFile, '--key', keyFile],
      ...['--tlsv' + version, '--tls-max', version, '--resolve', `${name}:${nginx.port}:127.0.0.1`],
      ...['-w', '%{http_code}', `https://${name}:${nginx.port}/`],
    ]);
    return all;
  };
  const letIn = ({ serial }: Holder) => `SUCCESS ${serial.toUpperCase()}\n200`;
  const REFUSED = /400 The SSL certificate error[^]*400$/;
  /** OK, or all that was said. */
  const verify = async (some: Holder[], ...more: string[]): Promise<Map<string, string>> => {
    const files = some.map(({ certificateFile }) => certificateFile);
    const { all } = await run('openssl', [
      ...['verify', '-x509_strict', '-crl_check', '-CRLfile', laboratory.file('crls.pem')],
      ...['-CAfile', laboratory.root, '-untrusted', laboratory.issuing, ...more, ...files],
    ]);
    return new Map(
      some.map(({ profile, keyType, certificateFile: file }) => [
        `${profile} ${keyType}`,
        all.includes(`${file}: OK`) ? 'OK' : all,
      ]),
    );
  };
  const fine = (some: Holder[]) => new Map(some.map(({ profile, keyType }) => [`${profile} ${keyType}`, 'OK']));

  test.each(CLIENTS)('%s: nginx lets it in with every key type, on TLS 1.2 and 1.3', async (profile) => {
    for (const version of ['1.2', '1.3']) {
      const told = await Promise.all(of(profile).map((one) => visit(one, { version })));
      expect(told).toEqual(of(profile).map(letIn));
    }
  });

  test.each(SERVERS)(
    '%s: curl accepts it from nginx with every key type, in a handshake with both',
    async (profile) => {
      const client = holder('device', 'ec-p256');
      for (const version of ['1.2', '1.3']) {
        const told = await Promise.all(of(profile).map(({ host }) => visit(client, { host, version })));
        expect(told).toEqual(of(profile).map(() => letIn(client)));
      }
    },
  );

  test('tls-server and ike-peer, which have no clientAuth, are not let in', async () => {
    for (const profile of ['tls-server', 'ike-peer'] as const) {
      const told = await Promise.all(of(profile).map((one) => visit(one)));
      for (const one of told) expect(one).toMatch(REFUSED);
    }
  });

  test('a certificate by another CA of the same name is not let in', async () => {
    const { file } = laboratory;
    const impostor = { certificateFile: file('impostor.pem'), keyFile: file('impostor.key') };
    const issuerOf = (pem: string, what: string) => succeed('openssl', ['x509', '-in', pem, '-noout', what]);
    expect((await issuerOf(impostor.certificateFile, '-issuer')).replace('issuer', 'subject')).toBe(
      await issuerOf(laboratory.issuing, '-subject'),
    );
    expect(await visit(impostor)).toMatch(REFUSED);
  });

  describe('by two more judges', () => {
    test('openssl verify -x509_strict -crl_check finds nothing, for the purposes of each profile', async () => {
      expect(await verify(holders)).toEqual(fine(holders));
      for (const [purpose, profiles] of [
        ['sslclient', CLIENTS],
        ['sslserver', SERVERS],
        ['smimesign', ['im-user']],
      ] as const) {
        expect(await verify(of(...profiles), '-purpose', purpose)).toEqual(fine(of(...profiles)));
      }
    });

    test.each(PROFILES)('%s: certtool --verify-chain trusts every key type', async (profile) => {
      const root = await readFile(laboratory.root, 'utf8');
      const told = of(profile).map(async ({ chainFile }) => {
        const input = (await readFile(chainFile, 'utf8')) + root;
        return run('certtool', ['--verify-chain'], { input });
      });
      for (const one of await Promise.all(told)) {
        expect(one).toMatchObject({ status: 0, all: expect.stringContaining('The certificate is trusted') });
      }
    });
  });

  test('the revoked one of each profile is refused by nginx and openssl, the others are not', async () => {
    const published = PROFILES.filter((profile) => profile !== 'device-short-lived').map((one) => holder(one, REVOKED));
    // Nobody is told of its end (RFC 9608): outside it is good until the day is over.
    const silent = holder('device-short-lived', REVOKED);
    for (const { serial } of [...published, silent]) await revoke(laboratory, serial, 'cessationOfOperation');
    const listed = await eventually(
      async () => {
        const serials = await writeCrls();
        return published.every(({ serial }) => serials.has(serial)) && serials;
      },
      { within: 10_000, what: 'the CRL lists them all' },
    );
    expect(listed).not.toContain(silent.serial);
    nginx.signal('SIGHUP');
    // While it reloads, workers with the old CRL still answer some connections.
    await eventually(async () => REFUSED.test(await visit(holder('device', REVOKED))), {
      within: 10_000,
      what: 'nginx refuses the device',
    });
    for (const profile of CLIENTS) {
      const [gone, stays] = [holder(profile, REVOKED), holder(profile, 'ed25519')];
      expect(await visit(stays)).toBe(letIn(stays));
      if (gone === silent) expect(await visit(gone)).toBe(letIn(gone));
      else expect(await visit(gone)).toMatch(REFUSED);
    }
    for (const one of published) {
      expect([...(await verify([one])).values()]).toEqual([expect.stringContaining('certificate revoked')]);
    }
    const others = holders.filter(({ keyType }) => keyType !== REVOKED);
    expect(await verify(others)).toEqual(fine(others));
  });
});
