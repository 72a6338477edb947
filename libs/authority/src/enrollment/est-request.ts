import type { DigestCredentials } from '#est';
import type { AuthorityError } from '#kernel';
import type { CertificationRequest } from '#pki';
import type { EstLabel } from '#policy';

/** What a request proves itself with; each is checked only where the label takes it. */
export interface Presented {
  /** RFC 7617. */
  basic: { user: string; password: string } | undefined;
  /** RFC 6750. */
  bearer: string | undefined;
  /** RFC 7616, where the label has it: what only the secret computes, of this request. */
  digest?: (DigestCredentials & { method: string }) | undefined;
  /** The challengePassword of the request, where the label takes it for the enrollment secret (E70). */
  challenge?: string | undefined;
  /**
   * DER of the certificate that the TLS connection was made with. Reading it costs as much as checking a signature; what
   * rests on a secret does not ask.
   */
  peerCertificate: () => Buffer | undefined;
}

/** Operations that end with a certificate; a full CMC request is one of the first two, or of both. */
export type EnrollingOperation = 'simpleenroll' | 'simplereenroll' | 'serverkeygen';

/** One enrollment as the EST plane hands it over: read, and linked to its connection. */
export interface EstRequest {
  operation: EnrollingOperation;
  label: EstLabel;
  csr: CertificationRequest;
  presented: Presented;
  /** Why the request is not linked to its connection, where it says that it is linked to one; an RA's need not be (E49). */
  unlinked?: AuthorityError | undefined;
  /** The key is made once somebody has approved: until then that of `csr` stands for its kind, and is never certified. */
  keyToCome?: true | undefined;
  address: string;
  requestId: string;
}

/** What a request came to; `retryAfter` in seconds (E87), `waiting` the id of what somebody has to approve. */
export type EnrollmentOutcome =
  { state: 'issued'; certificate: Buffer } | { state: 'pending'; retryAfter: number; waiting: string };
