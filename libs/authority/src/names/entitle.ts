import { AuthorityError } from '#kernel';
import { nameText, readName, readTypedName, type DeviceName, type NameType } from '#policy';
import { findDeviceOfInstance, findUsersByAddress, type Device } from '#store';
import type { Actor, AuthorityContext } from '../context.js';
import { holderOf, notEntitled } from './domain-standing.js';
import { readEveryClaim } from './every-claim.js';
import { ofMember } from './of-member.js';
import { checkUser } from './users.js';

/** A name as it is given: text with its scheme, or type and value. */
export type GivenName = string | Readonly<{ type: NameType; value: string }>;

/** In the order given, each once. Throws `invalid` (code `nameForm`). */
export function readNames(given: readonly GivenName[]): DeviceName[] {
  const names = ofMember('names', () =>
    given.map((one) => (typeof one === 'string' ? readName(one) : readTypedName(one.type, one.value))),
  );
  return [...new Map(names.map((name) => [nameText(name), name])).values()];
}

type Bearer = Pick<Device, 'instanceId' | 'ownerOrgId' | 'issuerOrgId'>;

/**
 * What these names of a device rest on: ids of domains and users, each held by the device's owner or by who vouches for it
 * (S20, S21, S22). Throws `forbidden` (code `nameNotEntitled`), and `conflict` (code `instanceIdTaken`) for the UUID of
 * another device.
 */
export async function entitle(
  a: AuthorityContext,
  actor: Actor,
  bearer: Bearer,
  names: readonly DeviceName[],
): Promise<string[]> {
  const holders = new Set<string>();
  for (const name of names) {
    for (const id of await holdersOf(a, actor, bearer, name)) holders.add(id);
  }
  return [...holders].sort();
}

async function holdersOf(a: AuthorityContext, actor: Actor, bearer: Bearer, name: DeviceName): Promise<string[]> {
  switch (name.type) {
    case 'uuid':
      await requireOwnUuid(a, bearer, name);
      return [];
    case 'ip':
      // No registry tells whose an address is: whoever vouches for the device says so, and answers for it.
      if (actor.authority || actor.testing === true) return [];
      throw notEntitled(nameText(name));
    case 'sip-domain':
    case 'dns':
      return [await requireDomain(a, bearer, name, name.value)];
    default:
      return requireUser(a, bearer, name);
  }
}

async function requireOwnUuid(a: AuthorityContext, bearer: Bearer, name: DeviceName): Promise<void> {
  if (name.value === bearer.instanceId) return;
  if (await readEveryClaim(a, (tx) => findDeviceOfInstance(tx, name.value))) {
    throw new AuthorityError('conflict', 'names: the UUID is that of another device', {
      member: 'names',
      code: 'instanceIdTaken',
    });
  }
  throw new AuthorityError('forbidden', `${nameText(name)} is not the instanceId of the device`, {
    member: 'names',
    code: 'nameNotEntitled',
  });
}

async function requireDomain(a: AuthorityContext, bearer: Bearer, name: DeviceName, host: string): Promise<string> {
  const domain = await holderOf(a, host);
  if (domain && isOf(bearer, domain.organizationId)) return domain.id;
  throw notEntitled(nameText(name));
}

/** The user and the domain: the end of either is the end of the name. */
async function requireUser(a: AuthorityContext, bearer: Bearer, name: DeviceName): Promise<string[]> {
  const domainId = await requireDomain(a, bearer, name, name.value.slice(name.value.lastIndexOf('@') + 1));
  const found = await readEveryClaim(a, (tx) => findUsersByAddress(tx, [name.value]));
  const user = found.find((one) => one.domainId === domainId && a.follower.index.user(one.id)?.status === 'active');
  if (!user?.types.includes(name.type)) throw notEntitled(nameText(name));
  checkUser(a, user);
  return [user.id, domainId];
}

const isOf = ({ ownerOrgId, issuerOrgId }: Bearer, organizationId: string): boolean =>
  organizationId === ownerOrgId || organizationId === issuerOrgId;
