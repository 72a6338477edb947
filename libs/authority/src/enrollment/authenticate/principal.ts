import type { Certificate } from '#pki';
import type { AuthenticationMethod, EstLabel } from '#policy';
import type { DeviceIdentityRow } from '#store';
import type { AuthorityContext } from '../../context.js';
import type { CurrentAnchors } from '../../current-anchors.js';
import type { EstRequest } from '../est-request.js';
import type { Person } from '../../people/session.js';
import type { EnrollingKey } from './api-key.js';
import type { DeviceCertificate } from './own-certificate.js';
import type { PresentedSecret } from './secret.js';

/** Who asks over EST: proved, not yet authorized (E42). */
export type Principal =
  /** Whose secret it is, and whether it is one, the first statement of the enrollment tells. */
  | { method: 'secret'; presented: PresentedSecret }
  | { method: 'certificate'; current: DeviceCertificate }
  /** `identity`: what the set reads from the certificate; whether there is such a device, the enrollment tells. */
  | { method: 'manufacturer'; set: CurrentAnchors; anchor: string; identity: string; certificate: Certificate }
  | { method: 'fingerprint'; identity: DeviceIdentityRow; certificate: Certificate }
  /** For the device that the request names, if it is of the same organizations. */
  | { method: 'ra'; ra: DeviceCertificate }
  /** For a device of the app of the key. */
  | { method: 'apiKey'; by: EnrollingKey }
  /** For a device of the organization of the person. */
  | { method: 'account'; person: Person };

/** What tells who asks. Without `csr`: a full CMC request, which may hold several. */
export type Asked = Pick<EstRequest, 'label' | 'operation' | 'presented' | 'address'> &
  Partial<Pick<EstRequest, 'csr'>>;

/** One way of proving who one is. */
export interface Way {
  method: AuthenticationMethod;
  /** The operations that it is taken for. */
  serves: readonly EstRequest['operation'][];
  /** By the certificate of the TLS connection: whoever has presented one that nobody takes is known, and refused. */
  byCertificate: boolean;
  /** For the text of a 401: what to send. */
  asks: string | ((label: EstLabel) => string);
  /** Undefined: the request presents nothing of this kind. Throws `forbidden` for what is presented and not accepted. */
  read(a: AuthorityContext, request: Asked): Promise<Principal | undefined>;
}
