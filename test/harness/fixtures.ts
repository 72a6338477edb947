import { randomUUID } from 'node:crypto';
import {
  createApp,
  createOrganization,
  createRelease,
  enrollOverEst,
  registerDevice,
  type Actor,
  type AuthorityContext,
  type EstRequest,
} from '#authority';
import { loadConfig } from '#kernel';
import { readCsr, type CsrTemplate } from '#pki';
import { profiles, shippedLabel } from '#policy';
import type { Device } from '#store';
import { csrOf, newKey, type DeviceKey } from './device.js';
import type { TestDatabase } from './database.js';

export interface Product {
  vendorId: string;
  appId: string;
  releaseId: string;
}

let counter = 0;

/** Vendor, app and release of their own. */
export async function makeProduct(api: AuthorityContext, actor: Actor): Promise<Product> {
  const n = ++counter;
  const vendor = await createOrganization(api, actor, { name: `Vendor ${n}`, kind: 'vendor' });
  const app = await createApp(api, actor, { name: `App ${n}`, vendorId: vendor.id });
  const release = await createRelease(api, actor, app.id, { version: '1.0.0' });
  return { vendorId: vendor.id, appId: app.id, releaseId: release.id };
}

export interface TestDevice {
  device: Device;
  secret: string;
}

export async function makeDevice(db: TestDatabase, product?: Product): Promise<TestDevice> {
  const api = await db.context('api');
  const { appId, releaseId } = product ?? (await makeProduct(api, db.operator));
  const { device, enrollment } = await registerDevice(api, db.operator, { appId, releaseId });
  return { device, secret: enrollment.secret };
}

const ANY_ADDRESS = '192.0.2.1';

type Presented = EstRequest['presented'];

/** Nothing but what is given. */
export const presents = (some: Partial<Presented>): Presented => ({
  basic: undefined,
  bearer: undefined,
  peerCertificate: () => undefined,
  ...some,
});

/** The certificate of an enrollment that waits for nobody. */
export async function enroll(a: AuthorityContext, request: EstRequest): Promise<Buffer> {
  const outcome = await enrollOverEst(a, request);
  if (outcome.state !== 'issued') throw new Error(`the enrollment is ${outcome.state}`);
  return outcome.certificate;
}

export function enrollRequest(
  { device, secret }: TestDevice,
  key: DeviceKey,
  rest: Partial<EstRequest> & { wishes?: Partial<CsrTemplate>; basic?: Presented['basic'] } = {},
): EstRequest {
  const { wishes, basic: _, ...request } = rest;
  // Given as undefined means none.
  const basic = 'basic' in rest ? rest.basic : { user: device.id, password: secret };
  return {
    operation: 'simpleenroll',
    label: shippedLabel(profiles(loadConfig({}).lifetimes).device),
    csr: readCsr(csrOf(device, key, wishes)),
    presented: presents({ basic }),
    address: ANY_ADDRESS,
    requestId: randomUUID(),
    ...request,
  };
}

export function renewRequest(
  device: Pick<Device, 'id' | 'instanceId'>,
  current: Buffer,
  key: DeviceKey,
  rest: Partial<EstRequest> = {},
): EstRequest {
  return {
    operation: 'simplereenroll',
    label: shippedLabel(profiles(loadConfig({}).lifetimes).device),
    csr: readCsr(csrOf(device, key)),
    presented: presents({ peerCertificate: () => current }),
    address: ANY_ADDRESS,
    requestId: randomUUID(),
    ...rest,
  };
}

/** A device with its first certificate. */
export async function makeEnrolled(
  db: TestDatabase,
  product?: Product,
): Promise<TestDevice & { key: DeviceKey; certificate: Buffer }> {
  const made = await makeDevice(db, product);
  const key = newKey();
  const certificate = await enroll(await db.context('est'), enrollRequest(made, key));
  return { ...made, key, certificate };
}
