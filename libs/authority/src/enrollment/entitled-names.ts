import { AuthorityError } from '#kernel';
import {
  generalNameOf,
  NAME_TYPES,
  readName,
  subjectOf,
  type DeviceName,
  type EntitledNames,
  type Profile,
} from '#policy';
import type { Device } from '#store';
import type { AuthorityContext } from '../context.js';
import { requireBinding } from '../names/device-binding.js';
import { isHeld } from '../names/domain-standing.js';

/**
 * The names that a certificate of this device may carry, all of them: from the registry, never from a request, as far as
 * this authority wrote it and everything that they rest on still stands by the log in memory. Subject and subjectAltName
 * are the same for the same names. `vouched`: as `requireBinding` has it. Throws `forbidden` (code `nameNotHeld`).
 */
export function entitledNames(
  a: Pick<AuthorityContext, 'macKey' | 'follower' | 'clock'>,
  profile: Profile,
  device: Device,
  vouched: boolean,
): EntitledNames {
  requireBinding(a, device, vouched);
  requireHeld(a, device);
  const names = device.names.map(readName);
  const wantsUuid = profile.san.some(({ type, min }) => type === 'uuid' && min > 0);
  const own: DeviceName = { type: 'uuid', value: device.instanceId };
  const all = wantsUuid && !names.some(({ type }) => type === 'uuid') ? [own, ...names] : names;
  if (profile.subject === 'given' || all.length === 0) {
    throw new AuthorityError('forbidden', `the device has no names for the profile ${profile.name}`);
  }
  const san = inOrder(all).map(generalNameOf);
  return { subject: subjectOf(profile, device.id, san), san };
}

function requireHeld(a: Pick<AuthorityContext, 'follower' | 'clock'>, device: Device): void {
  const { index } = a.follower;
  for (const id of device.nameHolders) {
    const domain = index.domain(id);
    if (domain === undefined ? index.user(id)?.status === 'active' : isHeld(a, domain)) continue;
    throw new AuthorityError('forbidden', 'a name of the device is not held any more: its domain or user has ended', {
      code: 'nameNotHeld',
    });
  }
}

/** By type, and among those of a type as they were given. */
const inOrder = (names: readonly DeviceName[]): DeviceName[] =>
  NAME_TYPES.flatMap((type) => names.filter((name) => name.type === type));
