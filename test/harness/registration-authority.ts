import { enrollOverEst, registerDevice, currentLabel } from '#authority';
import type { Device } from '#store';
import { approveEnrollment } from './approve-enrollment.js';
import type { TestDatabase } from './database.js';
import { newKey, type DeviceKey } from './device.js';
import { enroll, enrollRequest, type Product } from './fixtures.js';

export interface RegistrationAuthority {
  device: Device;
  certificate: Buffer;
  key: DeviceKey;
}

/** A device of the profile `ra` with its certificate, which somebody has approved. */
export async function makeRa(db: TestDatabase, { appId }: Pick<Product, 'appId'>): Promise<RegistrationAuthority> {
  const [api, est] = [await db.context('api'), await db.context('est')];
  const { device, enrollment } = await registerDevice(api, db.operator, { appId, profile: 'ra' });
  const key = newKey();
  const label = currentLabel(est, 'ra');
  if (!label) throw new Error('there is no label ra');
  const request = enrollRequest({ device, secret: enrollment.secret }, key, { label });
  await enrollOverEst(est, request);
  await approveEnrollment(db, device.id);
  return { device, certificate: await enroll(est, request), key };
}
