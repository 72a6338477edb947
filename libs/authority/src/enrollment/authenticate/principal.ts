import type { AuthenticationMethod } from '#policy';
import type { DeviceCertificate } from './own-certificate.js';
import type { PresentedSecret } from './secret.js';

/** Who asks over EST: proved, not yet authorized (E42). */
export type Principal =
  /** Whose secret it is, and whether it is one, the first statement of the enrollment tells. */
  | { method: 'secret'; presented: PresentedSecret }
  | { method: 'certificate'; current: DeviceCertificate }
  /** `requester` stands in the intent and matches repeated requests; `deviceId`: for whom it may ask. */
  | { method: Exclude<AuthenticationMethod, 'secret' | 'certificate'>; requester: string; deviceId: string };
