import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { CaCertificates, CertificateFacts, Examiner, Identity, RevocationFinding } from './examiner.js';
import { expectThat, NotVerified } from './narrator.js';
import { openssl, runOpenssl } from './run-openssl.js';

const NEW_KEY = ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];

/** OpenSSL's own program, working on files in `directory`, which are left there for a look. */
export class OpensslExaminer implements Examiner {
  readonly limits = '';

  constructor(
    readonly name: string,
    private readonly directory: string,
  ) {}

  private async file(name: string, content: string | Buffer): Promise<string> {
    await writeFile(path.join(this.directory, name), content, { mode: 0o600 });
    return name;
  }

  private async caFiles(ca: CaCertificates): Promise<{ root: string; issuing: string }> {
    return { root: await this.file('root.pem', ca.root), issuing: await this.file('issuing.pem', ca.issuing) };
  }

  async newKey(name: string): Promise<string> {
    const key = (await openssl(this.directory, NEW_KEY)).toString();
    await this.file(`${name}.key`, key);
    return key;
  }

  async request(key: string, device: { id: string; instanceId: string }): Promise<Buffer> {
    const keyFile = await this.file('request.key', key);
    const names = ['-subj', `/CN=${device.id}`, '-addext', `subjectAltName=URI:urn:uuid:${device.instanceId}`];
    return openssl(this.directory, ['req', '-new', '-key', keyFile, ...names, '-outform', 'DER']);
  }

  async certificates(cms: Buffer): Promise<string[]> {
    const text = (await openssl(this.directory, ['pkcs7', '-inform', 'DER', '-print_certs'], cms)).toString();
    return text.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----\n/g) ?? [];
  }

  async verifyPath(certificate: string, ca: CaCertificates): Promise<void> {
    const { root, issuing } = await this.caFiles(ca);
    const file = await this.file('certificate.pem', certificate);
    const purpose = ['-x509_strict', '-purpose', 'sslclient'];
    await openssl(this.directory, ['verify', ...purpose, '-CAfile', root, '-untrusted', issuing, file]);
  }

  async describe(certificate: string): Promise<CertificateFacts> {
    const show = ['subjectAltName', 'extendedKeyUsage', 'authorityInfoAccess', 'crlDistributionPoints'].join(',');
    const args = ['x509', '-noout', '-subject', '-serial', '-nameopt', 'RFC2253', '-ext', show];
    const text = (await openssl(this.directory, args, certificate)).toString();
    const found = (pattern: RegExp) => {
      const value = pattern.exec(text)?.[1]?.trim();
      if (value === undefined) throw new NotVerified(`the certificate lacks ${pattern.source}: ${text}`);
      return value;
    };
    return {
      subject: found(/^subject=(.*)$/m),
      serial: found(/^serial=(.*)$/m).toLowerCase(),
      names: found(/Subject Alternative Name:.*\n(.*)/),
      usage: found(/Extended Key Usage:.*\n(.*)/),
      ocsp: found(/OCSP - URI:(.*)/),
      caIssuers: found(/CA Issuers - URI:(.*)/),
      crl: found(/CRL Distribution Points:[^]*?URI:(.*)/),
    };
  }

  async askOcsp(certificate: string, ca: CaCertificates, url: string): Promise<RevocationFinding> {
    const { root, issuing } = await this.caFiles(ca);
    const file = await this.file('certificate.pem', certificate);
    const args = ['ocsp', '-issuer', issuing, '-cert', file, '-url', url, '-CAfile', root, '-nonce'];
    const { said } = await runOpenssl(this.directory, args);
    expectThat(said.includes('Response verify OK') && !said.includes('no nonce'), `openssl ocsp says: ${said.trim()}`);
    const [, status] = /: (good|revoked)\n/.exec(said) ?? [];
    if (status === 'good') return { status, detail: 'good' };
    expectThat(status === 'revoked', `openssl ocsp says: ${said.trim()}`);
    return { status, detail: /Reason: (.*)/.exec(said)?.[1] ?? 'no reason' };
  }

  async verifyWithCrls(
    certificate: string,
    ca: CaCertificates,
    crls: { issuing: Buffer; root: Buffer },
  ): Promise<RevocationFinding> {
    const { root, issuing } = await this.caFiles(ca);
    const pems: Buffer[] = [];
    for (const crl of [crls.issuing, crls.root])
      pems.push(await openssl(this.directory, ['crl', '-inform', 'DER'], crl));
    const file = await this.file('certificate.pem', certificate);
    const crlFile = await this.file('crls.pem', Buffer.concat(pems));
    const strict = ['verify', '-x509_strict', '-crl_check_all'];
    const args = [...strict, '-CAfile', root, '-untrusted', issuing, '-CRLfile', crlFile, file];
    const { status, said } = await runOpenssl(this.directory, args);
    if (status === 0) return { status: 'good', detail: 'good' };
    expectThat(said.includes('certificate revoked'), `openssl verify says: ${said.trim()}`);
    return { status: 'revoked', detail: 'certificate revoked' };
  }

  async serverIdentity(): Promise<Identity> {
    const key = await this.newKey('provider');
    const names = ['-subj', '/CN=provider', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const args = ['req', '-x509', '-key', 'provider.key', '-days', '1', ...names];
    const certificate = (await openssl(this.directory, args)).toString();
    await this.file('provider.pem', certificate);
    return { name: 'provider', key, certificate };
  }

  async visit(port: number, server: Identity, client: Identity, ca: CaCertificates): Promise<string> {
    const trust = ['-CAfile', await this.file('provider.pem', server.certificate), '-verify_return_error'];
    const certificate = await this.file(`${client.name}.pem`, client.certificate);
    const chain = (await this.caFiles(ca)).issuing;
    const own = ['-cert', certificate, '-key', await this.file(`${client.name}.key`, client.key), '-cert_chain', chain];
    const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-verify_ip', '127.0.0.1', '-quiet', ...trust, ...own];
    return (await runOpenssl(this.directory, args)).stdout.toString().trim();
  }
}
