import { AuthorityError, isAuthorityError } from '#kernel';
import { OID, readCertificate } from '#pki';
import { countObtained, MOST_OBTAINED_COUNTED, type CertificateRow } from '#store';
import { propose, type Proposed } from './approvals/propose.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { requireDevice } from './register-device.js';

/** What a registration authority obtained for other devices, so far as it has not ended; of the newest `MOST_OBTAINED_COUNTED`. */
export interface Obtained {
  /** Device id of the registration authority. */
  deviceId: string;
  since: Date;
  certificates: number;
  /** Of these. The others are good, or on hold. */
  revoked: number;
}

/** Throws `notFound`. What was obtained is of the organizations of the registration authority, as it is itself. */
export async function readObtained(
  a: AuthorityContext,
  actor: Actor,
  deviceId: string,
  since: Date,
): Promise<Obtained> {
  return a.database.transaction(
    async (tx) => {
      await requireDevice(tx, deviceId);
      return { deviceId, since, ...(await countObtained(tx, { raId: deviceId, since, until: null }, a.clock.now())) };
    },
    scopeOf(a, actor),
  );
}

/**
 * Proposes to revoke everything that this registration authority obtained since then, and what was obtained with that. The proposal
 * says how many certificates it is now. Throws `conflict` where there is none.
 */
export async function proposeObtainedRevocation(
  a: AuthorityContext,
  actor: Actor,
  deviceId: string,
  { since, reason }: { since: Date; reason: string },
): Promise<Proposed> {
  const obtained = await readObtained(a, actor, deviceId, since);
  const { certificates, revoked } = obtained;
  if (!mayBeOpen(obtained)) {
    throw new AuthorityError('conflict', 'it obtained nothing since then that is not revoked, or has ended');
  }
  return propose(a, actor, 'ra.revokeObtained', {
    deviceId,
    since: since.toISOString(),
    reason,
    certificates: certificates - revoked,
  });
}

/** With what the key of a registration authority could be used for: undefined where it was none's, or for nothing. */
export async function obtainedWith(
  a: AuthorityContext,
  actor: Actor,
  certificates: readonly CertificateRow[],
): Promise<Obtained | undefined> {
  const ofRa = certificates.filter((row) => row.deviceId !== null && isOfRa(row));
  const [first] = ofRa;
  if (!first || first.deviceId === null) return undefined;
  const since = new Date(Math.min(...ofRa.map(({ createdAt }) => createdAt.getTime())));
  const obtained = await readObtained(a, actor, first.deviceId, since);
  return mayBeOpen(obtained) ? obtained : undefined;
}

/** Beyond what was counted there may be more. */
const mayBeOpen = ({ certificates, revoked }: Obtained): boolean =>
  certificates > revoked || certificates === MOST_OBTAINED_COUNTED;

/** What cannot be read vouched for nobody, and must not keep anything from being revoked. */
function isOfRa({ der }: CertificateRow): boolean {
  try {
    return der !== null && readCertificate(der).eku?.includes(OID.cmcRa) === true;
  } catch (error) {
    if (isAuthorityError(error)) return false;
    throw error;
  }
}
