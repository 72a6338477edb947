import { createPrivateKey, createPublicKey, generateKeyPairSync, verify, X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { encodeCsr, readCertsOnly, readCrl, readPublicKey, signatureDigest, toPem } from '#pki';
import type { CaCertificates, CertificateFacts, Examiner, Identity, RevocationFinding } from './examiner.js';
import { expectThat } from './narrator.js';
import { askOcspWithNode } from './node-ocsp.js';

const COMMON_NAME = '2.5.4.3';

/**
 * Node's crypto and tls (another OpenSSL) judge signatures and connections. What they cannot read, CMS, CRL and OCSP, is
 * read by our own code: less independent than the program, which is why it comes second.
 */
export class NodeExaminer implements Examiner {
  readonly name = `Node ${process.version}'s crypto and tls`;
  readonly limits =
    ', as there is no openssl on the PATH (signatures and TLS; CMS, CRL and OCSP are read by our own code)';

  newKey(): Promise<string> {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return Promise.resolve(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  }

  request(key: string, device: { id: string; instanceId: string }): Promise<Buffer> {
    const publicKey = readPublicKey(createPublicKey(key).export({ type: 'spki', format: 'der' }));
    const subject = [[{ type: COMMON_NAME, value: device.id }]];
    const san = [{ type: 'uri' as const, value: `urn:uuid:${device.instanceId}` }];
    return Promise.resolve(encodeCsr({ subject, publicKey, san }, createPrivateKey(key)));
  }

  certificates(cms: Buffer): Promise<string[]> {
    return Promise.resolve(readCertsOnly(cms).map((certificate) => toPem('CERTIFICATE', certificate)));
  }

  verifyPath(certificate: string, ca: CaCertificates): Promise<void> {
    const [leaf, issuing, root] = [certificate, ca.issuing, ca.root].map((pem) => new X509Certificate(pem));
    expectThat(leaf !== undefined && issuing !== undefined && root !== undefined, 'a certificate is missing');
    for (const [child, parent] of [
      [leaf, issuing],
      [issuing, root],
      [root, root],
    ] as const) {
      expectThat(
        child.checkIssued(parent) && child.verify(parent.publicKey),
        `${child.subject} is not issued by ${parent.subject}`,
      );
    }
    expectThat(issuing.ca && root.ca && !leaf.ca, 'a CA is none, or the device is one');
    return Promise.resolve();
  }

  describe(certificate: string): Promise<CertificateFacts> {
    const read = new X509Certificate(certificate);
    const access = read.infoAccess ?? '';
    // Node shows no distribution points; the URL stands in the certificate as it is.
    const crl = /http:\/\/[\x21-\x7e]+?\.crl/.exec(read.raw.toString('latin1'))?.[0];
    return Promise.resolve({
      subject: read.subject,
      serial: read.serialNumber.toLowerCase(),
      names: read.subjectAltName ?? 'none',
      usage: (read.keyUsage ?? []).join(', '),
      ocsp: /OCSP - URI:(.*)/.exec(access)?.[1] ?? 'none',
      caIssuers: /CA Issuers - URI:(.*)/.exec(access)?.[1] ?? 'none',
      crl: crl ?? 'none',
    });
  }

  askOcsp(certificate: string, ca: CaCertificates, url: string): Promise<RevocationFinding> {
    return askOcspWithNode(certificate, ca, url);
  }

  verifyWithCrls(
    certificate: string,
    ca: CaCertificates,
    crls: { issuing: Buffer; root: Buffer },
  ): Promise<RevocationFinding> {
    for (const [issuer, bytes, of] of [
      [ca.issuing, crls.issuing, certificate],
      [ca.root, crls.root, ca.issuing],
    ] as const) {
      const { publicKey } = new X509Certificate(issuer);
      const crl = readCrl(bytes);
      const digest = signatureDigest(crl.signatureAlgorithmDer) ?? null;
      expectThat(verify(digest, crl.tbs, publicKey, crl.signature), 'the signature of a CRL is wrong');
      const entry = crl.find(new X509Certificate(of).serialNumber.toLowerCase());
      if (entry !== undefined) return Promise.resolve({ status: 'revoked', detail: entry.reason ?? 'no reason' });
    }
    return Promise.resolve({ status: 'good', detail: 'good' });
  }

  serverIdentity(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  /** The server is known by its very certificate: there is nobody here to certify it. */
  async visit(port: number, server: Identity, client: Identity, ca: CaCertificates): Promise<string> {
    const cert = `${client.certificate}${ca.issuing}`;
    const socket = connect({ port, host: '127.0.0.1', cert, key: client.key, rejectUnauthorized: false });
    const pinned = new X509Certificate(server.certificate).fingerprint256;
    socket.once('secureConnect', () => {
      if (socket.getPeerX509Certificate()?.fingerprint256 !== pinned) socket.destroy();
    });
    let said = '';
    try {
      for await (const chunk of socket) said += String(chunk);
    } catch {
      // A server that refuses ends the connection: nothing was said.
    }
    return said.trim();
  }
}
