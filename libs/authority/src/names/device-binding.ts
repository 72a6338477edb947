import { openVerifier } from '#credential';
import { addSeconds, AuthorityError, isAuthorityError } from '#kernel';
import { DEFAULT_LABEL } from '#policy';
import { checkRowMac, deviceRowMac } from '#status';
import { listEnrollmentSecrets, type Device, type Tx } from '#store';
import type { AuthorityContext } from '../context.js';
import { secretSealContext } from '../secret-seal.js';

type Facts = Omit<Device, 'mac' | 'status' | 'createdAt' | 'boundAt' | 'groupId' | 'releaseId'>;

/** For so long what was read may be older than what the log says. */
const CHANGING_SECONDS = 60;

/** Fixes profile and names of a device from now on. */
export function bind(a: Pick<AuthorityContext, 'clock' | 'macKey'>, facts: Facts): { boundAt: Date; mac: Buffer } {
  const boundAt = a.clock.now();
  return { boundAt, mac: deviceRowMac(a.macKey, { ...facts, boundAt }) };
}

/** Names a binding in the log, where it is superseded by the next one: a row put back by SQL is known by it. */
export const bindingId = (mac: Buffer): string =>
  mac.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

/**
 * Throws `internal` (code `rowMac`) for a device whose instanceId, profile, names or owners are not as this authority wrote
 * them last. A device of before 0.3 has no MAC: it counts, without names, where something else that SQL cannot make tells
 * of the same instanceId (`vouched`): a secret that opens for it, a certificate of ours that names it.
 */
export function requireBinding(
  a: Pick<AuthorityContext, 'macKey' | 'follower' | 'clock'>,
  device: Device,
  vouched: boolean,
): void {
  if (device.mac === null) {
    if (vouched && isPlain(device)) return;
    throw altered(device);
  }
  checkRowMac(device.mac, deviceRowMac(a.macKey, device), `device ${device.id}`);
  const superseded = a.follower.index.user(bindingId(device.mac));
  if (superseded?.status !== 'superseded') return;
  // Read just before it was changed, or put back since.
  if (addSeconds(superseded.at, CHANGING_SECONDS) < a.clock.now()) throw altered(device);
  throw new AuthorityError('unavailable', 'the device is being changed just now; try again', { retryAfter: 1 });
}

/** The same where an operator changes it: for a device of before 0.3, any secret it ever had tells its instanceId. */
export async function requireOwnBinding(tx: Tx, a: AuthorityContext, device: Device): Promise<void> {
  requireBinding(a, device, device.mac === null && (await opensASecret(tx, a, device)));
}

async function opensASecret(tx: Tx, a: AuthorityContext, device: Device): Promise<boolean> {
  const secrets = await listEnrollmentSecrets(tx, device.id);
  return secrets.some((secret) => {
    const pepper = a.peppers.get(secret.pepperVersion);
    if (pepper === undefined) return false;
    try {
      openVerifier(pepper, secret.sealedVerifier, secretSealContext(secret, device));
      return true;
    } catch (error) {
      if (isAuthorityError(error)) return false;
      throw error;
    }
  });
}

/** Whether profile and names are those that a decision was made by. */
export const sameBinding = (one: Pick<Device, 'mac'>, other: Pick<Device, 'mac'>): boolean =>
  one.mac === null || other.mac === null ? one.mac === other.mac : one.mac.equals(other.mac);

const isPlain = ({ profile, names, nameHolders }: Device): boolean =>
  profile === DEFAULT_LABEL && names.length === 0 && nameHolders.length === 0;

const altered = ({ id }: Device): AuthorityError =>
  new AuthorityError('internal', `device ${id} was not written by this authority`, { code: 'rowMac' });
