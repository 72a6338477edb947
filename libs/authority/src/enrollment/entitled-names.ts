import { AuthorityError } from '#kernel';
import { OID } from '#pki';
import type { EntitledNames, Profile } from '#policy';
import type { Device } from '#store';

/** The names that a certificate of this device may carry, all of them: from the registry, never from a request. */
export function entitledNames(profile: Profile, device: Pick<Device, 'id' | 'instanceId'>): EntitledNames {
  if (profile.subject !== 'device') {
    throw new AuthorityError('forbidden', `the device has no names for the profile ${profile.name}`);
  }
  return {
    subject: [[{ type: OID.commonName, value: device.id }]],
    san: [{ type: 'uri', value: `urn:uuid:${device.instanceId}` }],
  };
}
