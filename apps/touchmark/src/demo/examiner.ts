/** A device's key and certificate, PEM. */
export interface Identity {
  name: string;
  key: string;
  certificate: string;
}

export interface CaCertificates {
  root: string;
  issuing: string;
}

export interface CertificateFacts {
  subject: string;
  serial: string;
  names: string;
  usage: string;
  ocsp: string;
  caIssuers: string;
  crl: string;
}

/** `revoked` with the reason, where there is one. */
export interface RevocationFinding {
  status: 'good' | 'revoked';
  detail: string;
}

/**
 * Who makes the device's keys and requests and judges what comes back: OpenSSL as a program of its own, or Node's crypto
 * where there is none. Each method throws when what it looks at does not hold.
 */
export interface Examiner {
  /** With its version, for the narration. */
  readonly name: string;
  /** What is to be known about its judgement, to be put after the name. */
  readonly limits: string;
  newKey(name: string): Promise<string>;
  /** DER of a PKCS #10 request for a device's names. */
  request(key: string, device: { id: string; instanceId: string }): Promise<Buffer>;
  /** PEM certificates of a certs-only CMS message. */
  certificates(cms: Buffer): Promise<string[]>;
  /** The certificate's path up to the root. */
  verifyPath(certificate: string, ca: CaCertificates): Promise<void>;
  describe(certificate: string): Promise<CertificateFacts>;
  /** Asks the responder, with a nonce, and verifies its answer. */
  askOcsp(certificate: string, ca: CaCertificates, url: string): Promise<RevocationFinding>;
  /** The path again, with the CRLs (DER) of issuing CA and root, each verified. */
  verifyWithCrls(
    certificate: string,
    ca: CaCertificates,
    crls: { issuing: Buffer; root: Buffer },
  ): Promise<RevocationFinding>;
  /** A key and certificate for a provider's server; undefined: cannot make one. */
  serverIdentity(): Promise<Identity | undefined>;
  /** Connects to a TLS server of 127.0.0.1 with a client certificate; what the server said first. */
  visit(port: number, server: Identity, client: Identity, ca: CaCertificates): Promise<string>;
}
