import { appendAudit, type AuditAction } from '#audit';
import { openBox, sealContext, sealToBox } from '#credential';
import { AuthorityError } from '#kernel';
import { checkRowMac, transportKeyMac } from '#status';
import {
  deleteTransportKey,
  findTransportKey,
  listTransportKeys,
  lockDevice,
  replaceTransportKey,
  type Device,
  type TransportKeyRow,
  type Tx,
} from '#store';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { requireDevice } from './register-device.js';
import { notFound } from './registry.js';

/** More than one only while one takes the place of another. */
const MAX_KEYS = 8;

/**
 * A symmetric key that the device holds already, to which private keys made for it can be encrypted (RFC 7030 section 4.4.1.1). It takes
 * the place of one of the same identifier. Only est can open it. `key`: 16 or 32 bytes, else `invalid`.
 */
export async function registerTransportKey(
  a: AuthorityContext,
  actor: Actor,
  deviceId: string,
  { keyIdentifier, key }: { keyIdentifier: Buffer; key: Buffer },
): Promise<TransportKeyRow> {
  const { transportPublicKey } = a;
  if (!transportPublicKey) throw new AuthorityError('internal', `the ${a.plane} plane registers no transport keys`);
  if (key.length !== 16 && key.length !== 32) {
    throw new AuthorityError('invalid', 'key: must have 16 or 32 bytes, for AES-128 or AES-256', { member: 'key' });
  }
  return a.database.transaction(
    async (tx) => {
      const device = await requireDevice(tx, deviceId);
      await lockDevice(tx, deviceId);
      const others = (await listTransportKeys(tx, deviceId)).filter((one) => !one.keyIdentifier.equals(keyIdentifier));
      if (others.length >= MAX_KEYS) {
        throw new AuthorityError('conflict', `a device has at most ${MAX_KEYS} transport keys; remove one first`, {
          code: 'tooMany',
        });
      }
      const facts = {
        deviceId,
        keyIdentifier,
        bits: key.length * 8,
        ownerOrgId: device.ownerOrgId,
        issuerOrgId: device.issuerOrgId,
      };
      const sealed = sealToBox(transportPublicKey, key, contextOf(facts));
      const row = { ...facts, sealed, mac: transportKeyMac(a.macKey, { ...facts, sealed }) };
      const made = await replaceTransportKey(tx, row);
      await audit(tx, a, actor, 'transportKey.registered', device, keyIdentifier);
      return made;
    },
    scopeOf(a, actor),
  );
}

/** Throws `notFound`. */
export async function removeTransportKey(
  a: AuthorityContext,
  actor: Actor,
  deviceId: string,
  keyIdentifier: Buffer,
): Promise<void> {
  await a.database.transaction(
    async (tx) => {
      const device = await requireDevice(tx, deviceId);
      if (!(await deleteTransportKey(tx, deviceId, keyIdentifier))) throw notFound('transport key');
      await audit(tx, a, actor, 'transportKey.removed', device, keyIdentifier);
    },
    scopeOf(a, actor),
  );
}

/** The key itself, on est alone; undefined where the device has none of this identifier. */
export async function openTransportKey(
  a: AuthorityContext,
  deviceId: string,
  keyIdentifier: Buffer,
): Promise<Buffer | undefined> {
  const row = await a.database.single((tx) => findTransportKey(tx, deviceId, keyIdentifier));
  if (!row) return undefined;
  if (!a.transportPrivateKey) throw new AuthorityError('internal', `the ${a.plane} plane opens no transport keys`);
  checkRowMac(row.mac, transportKeyMac(a.macKey, row), `transport key of device ${deviceId}`);
  return openBox(a.transportPrivateKey, row.sealed, contextOf(row));
}

const contextOf = ({ deviceId, keyIdentifier }: Pick<TransportKeyRow, 'deviceId' | 'keyIdentifier'>): Buffer =>
  sealContext('transportKey', { deviceId, keyIdentifier: keyIdentifier.toString('hex') });

async function audit(
  tx: Tx,
  a: AuthorityContext,
  actor: Actor,
  action: AuditAction,
  device: Device,
  keyIdentifier: Buffer,
): Promise<void> {
  await appendAudit(tx, {
    at: a.clock.now(),
    actor: actor.id,
    action,
    subject: `device:${device.id}`,
    outcome: 'success',
    requestId: actor.requestId,
    detail: { keyIdentifier: keyIdentifier.toString('hex') },
    ownerOrgId: device.ownerOrgId,
    issuerOrgId: device.issuerOrgId,
  });
}
