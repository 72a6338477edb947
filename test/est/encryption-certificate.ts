import type { KeyObject } from 'node:crypto';
import { currentProfile, type AuthorityContext } from '#authority';
import { OID, readPublicKey, type KeyUsage } from '#pki';
import { finishIntent, prepareIntent } from '../../libs/authority/src/issue.js';
import { recordOwnIntent } from '../../libs/authority/src/record-intent.js';
import type { TestDevice } from '../harness/fixtures.js';

export interface Held {
  certificate: Buffer;
  privateKey: KeyObject;
}

/** A certificate of ours to the device, of a profile that this release does not ship: for encryption. */
export async function certifyForEncryption(
  est: AuthorityContext,
  { device }: TestDevice,
  pair: { privateKey: KeyObject; publicKey: KeyObject },
  keyUsage: KeyUsage[],
): Promise<Held> {
  const issuer = await est.issuers.issuing();
  const actor = {
    id: `device:${device.id}`,
    organizationId: est.authorityId,
    authority: false,
    requestId: 'test',
  };
  const intent = prepareIntent(est, {
    profile: { ...currentProfile(est, 'device'), keyUsage },
    issuer,
    subject: [[{ type: OID.commonName, value: device.id }]],
    san: [{ type: 'uri', value: `urn:uuid:${device.instanceId}` }],
    publicKey: readPublicKey(pair.publicKey.export({ type: 'spki', format: 'der' })),
    deviceId: device.id,
    appId: device.appId,
    releaseId: device.releaseId,
    secretId: null,
    requestLabel: '',
    requester: actor.id,
    ownerOrgId: device.ownerOrgId,
    issuerOrgId: device.issuerOrgId,
  });
  const row = await recordOwnIntent(est, actor, intent);
  return { certificate: await finishIntent(est, actor, row, issuer, null), privateKey: pair.privateKey };
}
