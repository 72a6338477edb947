import { AuthorityError } from '#kernel';
import { findDevice, findDeviceOfInstance, type Device, type Tx } from '#store';
import type { AuthorityContext } from '../context.js';
import { actorOfPerson, findActivePerson, type Person } from '../people/session.js';
import { requireRight } from './authenticate/account.js';
import { enrollVouched } from './enroll-as.js';
import { refuseWhereGood } from './enroll-by-key.js';
import type { EnrollmentOutcome, EstRequest } from './est-request.js';
import { namedDevice } from './named-device.js';

/** First enrollment by a person, of a device that is registered and of the person's organization. */
export function enrollByAccount(a: AuthorityContext, request: EstRequest, person: Person): Promise<EnrollmentOutcome> {
  const actor = actorOfPerson(a, person, request.requestId);
  return enrollVouched(a, request, {
    find: async (tx) => {
      const now = await findActivePerson(tx, a, person.row.id);
      if (now === undefined) throw new AuthorityError('forbidden', 'nobody here has this account any more');
      requireRight(a, now);
      const device = await requireDeviceOf(tx, request, now);
      return { deviceId: device.id, requester: `account:${now.row.id}`, actor };
    },
    admit: (tx, device) => refuseWhereGood(tx, a, device),
    approval: false,
    provedBy: undefined,
    knownAs: undefined,
    detail: { authentication: 'account', person: person.row.id },
  });
}

/** One answer for a device that is not there and for one of others. */
async function requireDeviceOf(tx: Tx, { csr }: EstRequest, { organization }: Person): Promise<Device> {
  const named = namedDevice(csr);
  if (!named) throw new AuthorityError('invalid', 'the request must name its device: urn:uuid or CN=<device id>');
  const device = await (named.instanceId === undefined
    ? findDevice(tx, named.id ?? '')
    : findDeviceOfInstance(tx, named.instanceId));
  const own = organization.kind === 'authority' || [device?.ownerOrgId, device?.issuerOrgId].includes(organization.id);
  if (device !== undefined && own) return device;
  throw new AuthorityError('forbidden', 'no such device of your organization', { code: 'notRegistered' });
}
