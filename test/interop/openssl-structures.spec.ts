import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { crlOf, enrollDevice, openLaboratory, revoke, type EnrolledDevice, type Laboratory } from './enrolled.js';
import { describeWith, run, succeed } from './program.js';
import { eventually } from './server.js';

describeWith(['openssl'], 'openssl reads what is issued', () => {
  let laboratory: Laboratory;
  let device: EnrolledDevice;

  beforeAll(async () => {
    laboratory = await openLaboratory();
    device = await enrollDevice(laboratory);
  });
  afterAll(() => laboratory?.close());

  /** As text; the structure parses as DER to its last byte, and comes out as the same bytes. */
  async function read(file: string): Promise<string> {
    const der = (await run('openssl', ['x509', '-in', file, '-outform', 'DER'])).stdout;
    const tree = await succeed('openssl', ['asn1parse', '-inform', 'DER'], { input: der });
    expect(tree).not.toMatch(/error/i);
    expect(
      /^ +0:d=0 +hl=(\d) l= *(\d+) cons: SEQUENCE/
        .exec(tree)
        ?.slice(1)
        .map(Number)
        .reduce((a, b) => a + b),
    ).toBe(der.length);
    const text = await succeed('openssl', ['x509', '-in', file, '-noout', '-text']);
    expect(text).toContain('Version: 3 (0x2)');
    const [inner, outer] = [...text.matchAll(/Signature Algorithm: (\S+)/g)].map((match) => match[1]);
    expect(inner).toBe(outer);
    return text;
  }

  async function issuedBy(profile: string): Promise<string[]> {
    const list = await laboratory.instance.api('GET', `/v1/certificates?profile=${profile}&status=active`);
    const { items } = list.json<{ items: { serial: string }[] }>();
    const files: string[] = [];
    for (const { serial } of items) {
      const { pem } = (await laboratory.instance.api('GET', `/v1/certificates/${serial}`)).json<{ pem: string }>();
      files.push(await laboratory.write(`${profile}-${serial}.pem`, pem));
    }
    expect(files.length).toBeGreaterThan(0);
    return files;
  }

  test('root', async () => {
    const text = await read(laboratory.root);
    expect(text).toMatch(/Basic Constraints: critical\n\s+CA:TRUE\n/);
    expect(text).toMatch(/Key Usage: critical\n\s+Certificate Sign, CRL Sign\n/);
    expect(text).toContain('NIST CURVE: P-384');
    expect(text).toContain('Subject Key Identifier');
    expect(text).not.toMatch(/CRL Distribution|Authority Information|Extended Key Usage/);
  });

  test('issuing CA', async () => {
    const text = await read(laboratory.issuing);
    expect(text).toMatch(/Basic Constraints: critical\n\s+CA:TRUE, pathlen:0\n/);
    expect(text).toMatch(/Key Usage: critical\n\s+Certificate Sign, CRL Sign\n/);
    expect(text).toContain('NIST CURVE: P-256');
    expect(text).toContain(`/crl/${laboratory.rootId}.crl`);
    expect(text).toMatch(/OCSP - URI:http:[^\n]+\/ocsp\n/);
    expect(text).toContain(`/ca/${laboratory.rootId}.cer`);
  });

  test('device', async () => {
    const text = await read(device.certificateFile);
    expect(text).toContain(`Subject: CN = ${device.id}`);
    expect(text).toMatch(new RegExp(`Subject Alternative Name: *\n\\s+URI:urn:uuid:${device.instanceId}\n`));
    expect(text).toMatch(/Extended Key Usage: *\n\s+TLS Web Client Authentication\n/);
    expect(text).toMatch(/Key Usage: critical\n\s+Digital Signature\n/);
    expect(text).toContain(device.appId);
    expect(text).toContain(`/crl/${laboratory.issuingId}/0.crl`);
    expect(text).not.toContain('Basic Constraints');
  });

  test('OCSP signers, one per CA key', async () => {
    const issuers = new Set<string>();
    for (const file of await issuedBy('ocsp-responder')) {
      const text = await read(file);
      expect(text).toMatch(/Extended Key Usage: *\n\s+OCSP Signing\n/);
      expect(text).toContain('OCSP No Check');
      expect(text).not.toMatch(/CRL Distribution|OCSP - URI/);
      issuers.add(/Issuer: (.*)/.exec(text)?.[1] ?? '');
      await succeed('openssl', [
        ...['verify', '-x509_strict', '-CAfile', laboratory.root],
        ...['-untrusted', laboratory.issuing, file],
      ]);
    }
    expect(issuers.size).toBe(2);
  });

  test('our own servers', async () => {
    for (const file of await issuedBy('tls-server')) {
      const text = await read(file);
      expect(text).toMatch(/Subject Alternative Name: *\n\s+DNS:localhost, IP Address:127\.0\.0\.1\n/);
      expect(text).toMatch(/Extended Key Usage: *\n\s+TLS Web Server Authentication\n/);
      await succeed('openssl', [
        ...['verify', '-x509_strict', '-purpose', 'sslserver', '-verify_ip', '127.0.0.1', '-CAfile', laboratory.root],
        ...['-untrusted', laboratory.issuing, file],
      ]);
    }
  });

  test('CRLs: empty ones have no list, a revocation stands in it with its reason', async () => {
    const root = await laboratory.instance.status(`/crl/${laboratory.rootId}.crl`);
    const ofRoot = await run('openssl', ['crl', '-inform', 'DER', '-noout', '-text', '-CAfile', laboratory.root], {
      input: root.body,
    });
    expect(ofRoot.all).toContain('verify OK');
    expect(ofRoot.all).toContain('No Revoked Certificates.');
    expect(ofRoot.all).toMatch(/X509v3 CRL Number: *\n\s+\d+\n/);
    await succeed('openssl', ['asn1parse', '-inform', 'DER'], { input: root.body });
    const before = await succeed('openssl', ['crl', '-noout', '-text'], {
      input: await crlOf(laboratory, device.certificateFile),
    });
    expect(before).toContain('No Revoked Certificates.');
    await revoke(laboratory, device.serial, 'cessationOfOperation');
    const after = await eventually(
      async () => {
        const text = await succeed('openssl', ['crl', '-noout', '-text'], {
          input: await crlOf(laboratory, device.certificateFile),
        });
        return text.includes('Revoked Certificates:') && text;
      },
      { within: 5000, what: 'a CRL with an entry' },
    );
    expect(after.toLowerCase()).toContain(`serial number: ${device.serial}`);
    expect(after).toContain('Cessation Of Operation');
    expect(after).toMatch(/Issuing Distribution Point: critical\n[^]*\/0\.crl\n/);
    expect(after).toContain('Authority Key Identifier');
    const [older, newer] = [before, after].map((text) => Number(/CRL Number: *\n\s+(\d+)/.exec(text)?.[1]));
    expect(newer).toBeGreaterThan(older ?? Infinity);
  });
});
