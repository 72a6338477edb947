import { randomBytes } from 'node:crypto';
import { AuthorityError } from '#kernel';

const RANDOM_OCTETS = 16;

/**
 * A serial number: one epoch octet (01 to 7f), 16 octets from the CSPRNG, as lower-case hex. Positive, never zero and 17 octets of DER
 * content whatever is drawn (X02, X03). An operator raises the epoch after a restore, so that old and new serials cannot meet.
 */
export function newSerial(epoch = 1): string {
  if (!Number.isInteger(epoch) || epoch < 1 || epoch > 127) {
    throw new AuthorityError('internal', 'the serial epoch must be an integer from 1 to 127');
  }
  return epoch.toString(16).padStart(2, '0') + randomBytes(RANDOM_OCTETS).toString('hex');
}
