import type { AuditAction } from '#audit';
import { openBox, sealContext, sealToBox } from '#credential';
import { AuthorityError } from '#kernel';
import { checkRowMac, transportKeyMac } from '#status';
import {
  deleteTransportKey,
  findTransportKey,
  latestStatus,
  listTransportKeys,
  lockDevice,
  replaceTransportKey,
  type Device,
  type StatusChange,
  type TransportKeyRow,
} from '#store';
import { logStatus, statusChange, type StatusAudit } from './change-status.js';
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
  const { made, seq } = await a.database.transaction(
    async (tx) => {
      const device = await requireDevice(tx, deviceId);
      await lockDevice(tx, deviceId);
      const present = await listTransportKeys(tx, deviceId);
      const others = present.filter((one) => !one.keyIdentifier.equals(keyIdentifier));
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
      const at = a.clock.now();
      const replaced = present.filter((one) => !others.includes(one)).map((one) => removal(one, at));
      const registered = audit('transportKey.registered', device, keyIdentifier);
      return { made, seq: await logStatus(tx, a, actor, at, [registered], replaced) };
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(seq);
  return made;
}

/** Nothing is encrypted to it from the answer on, whoever puts its row back. Throws `notFound`. */
export async function removeTransportKey(
  a: AuthorityContext,
  actor: Actor,
  deviceId: string,
  keyIdentifier: Buffer,
): Promise<void> {
  const seq = await a.database.transaction(
    async (tx) => {
      const device = await requireDevice(tx, deviceId);
      await lockDevice(tx, deviceId);
      const row = await findTransportKey(tx, deviceId, keyIdentifier);
      if (!row) throw notFound('transport key');
      await deleteTransportKey(tx, deviceId, keyIdentifier);
      const at = a.clock.now();
      const removed = audit('transportKey.removed', device, keyIdentifier);
      return logStatus(tx, a, actor, at, [removed], [removal(row, at)]);
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(seq);
}

/** The key itself, on est alone; undefined where the device has none of this identifier, or the log says that it was removed. */
export async function openTransportKey(
  a: AuthorityContext,
  deviceId: string,
  keyIdentifier: Buffer,
): Promise<Buffer | undefined> {
  const row = await a.database.single((tx) => findTransportKey(tx, deviceId, keyIdentifier));
  if (!row) return undefined;
  const subject = subjectOf(row);
  const removed =
    a.follower.index.transport(subject) ?? (await a.database.single((tx) => latestStatus(tx, 'transport', subject)));
  if (removed !== undefined) return undefined;
  if (!a.transportPrivateKey) throw new AuthorityError('internal', `the ${a.plane} plane opens no transport keys`);
  checkRowMac(row.mac, transportKeyMac(a.macKey, row), `transport key of device ${deviceId}`);
  return openBox(a.transportPrivateKey, row.sealed, contextOf(row));
}

const contextOf = ({ deviceId, keyIdentifier }: Pick<TransportKeyRow, 'deviceId' | 'keyIdentifier'>): Buffer =>
  sealContext('transportKey', { deviceId, keyIdentifier: keyIdentifier.toString('hex') });

/** Each registration has a MAC of its own, since nothing is sealed twice alike. */
const subjectOf = (row: Pick<TransportKeyRow, 'mac'>): string => row.mac.toString('hex');

const removal = (row: TransportKeyRow, at: Date): StatusChange =>
  statusChange({ kind: 'transport', subject: subjectOf(row), status: 'revoked', at });

const audit = (action: AuditAction, device: Device, keyIdentifier: Buffer): StatusAudit => ({
  action,
  subject: `device:${device.id}`,
  ownerOrgId: device.ownerOrgId,
  issuerOrgId: device.issuerOrgId,
  detail: { keyIdentifier: keyIdentifier.toString('hex') },
});
