import type { CertificationRequest } from '#pki';

/** One enrollment as the EST plane hands it over: read, and linked to its connection. */
export interface EstRequest {
  operation: 'simpleenroll' | 'simplereenroll';
  label: string | undefined;
  csr: CertificationRequest;
  basic: { user: string; password: string } | undefined;
  /** DER of the certificate that the TLS connection was made with. */
  peerCertificate: Buffer | undefined;
  address: string;
  requestId: string;
}
