import {
  challengeOf,
  claimDomain,
  createApp,
  createOrganization,
  createUser,
  currentLabel,
  followName,
  registerDevice,
  verifyDomain,
  type AuthorityContext,
  type GivenName,
} from '#authority';
import type { Clock } from '#kernel';
import { readCertificate, type CsrTemplate, type GeneralName } from '#pki';
import type { DomainRow } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey, type DeviceKey } from '../harness/device.js';
import { startDnsServer, type DnsServer } from '../harness/dns-server.js';
import { enroll, enrollRequest, type TestDevice } from '../harness/fixtures.js';
import { makePerson, type Person } from '../harness/people.js';

/** A vendor with an app, and somebody who develops for it. */
export interface Tenant {
  vendorId: string;
  appId: string;
  developer: Person;
}

/** What the specs about names share: a database, a name server, two tenants, and who decides. */
export interface NameBench {
  db: TestDatabase;
  dns: DnsServer;
  api: AuthorityContext;
  est: AuthorityContext;
  worker: AuthorityContext;
  officer: Person;
  approver: Person;
  tenant: Tenant;
  other: Tenant;
  stop(): Promise<void>;
}

export async function startNameBench(clock?: Clock): Promise<NameBench> {
  const dns = await startDnsServer();
  const settings = { dns: { servers: [dns.address] } };
  const db = await startTestDatabase({ settings, ...(clock && { clock }) });
  const api = await db.context('api');
  const officer = await makePerson(db, ['officer']);
  const makeTenant = async (name: string): Promise<Tenant> => {
    const vendorId = (await createOrganization(api, db.operator, { name, kind: 'vendor' })).id;
    const { id: appId } = await createApp(api, officer, { name, vendorId });
    return { vendorId, appId, developer: await makePerson(db, ['developer'], vendorId) };
  };
  return {
    ...{ db, dns, api, officer },
    est: await db.context('est'),
    worker: await db.context('worker'),
    approver: await makePerson(db, ['approver']),
    tenant: await makeTenant('Mine'),
    other: await makeTenant('Theirs'),
    stop: async () => {
      await db.stop();
      await dns.stop();
    },
  };
}

/** Every plane knows what the api plane has done. */
export async function inStep({ api, est, worker }: NameBench): Promise<void> {
  for (const plane of [est, worker]) await plane.follower.catchUp(api.follower.index.seq);
}

export function putProof({ api, dns }: NameBench, row: DomainRow): void {
  const { name, value } = challengeOf(api, row);
  dns.records.set(name, ['v=spf1 -all', value]);
}

/** A domain that the tenant has claimed and proved. */
export async function holdDomain(bench: NameBench, name: string, by = bench.tenant): Promise<DomainRow> {
  const row = await claimDomain(bench.api, by.developer, { name });
  putProof(bench, row);
  await verifyDomain(bench.api, by.developer, row.id);
  await inStep(bench);
  return row;
}

export async function addUser(bench: NameBench, address: string, by = bench.tenant) {
  const row = await createUser(bench.api, by.developer, { address });
  await inStep(bench);
  return row;
}

export async function register(
  { api, officer, tenant }: NameBench,
  profile: string,
  names: readonly GivenName[],
): Promise<TestDevice> {
  const { device, enrollment } = await registerDevice(api, officer, { appId: tenant.appId, profile, names });
  return { device, secret: enrollment.secret };
}

/** A first request at the device's own label, without names but for `wishes`. */
export function firstRequest({ est }: NameBench, made: TestDevice, wishes: Partial<CsrTemplate> = {}, key = newKey()) {
  const label = currentLabel(est, made.device.profile);
  if (label === undefined) throw new Error(`no label ${made.device.profile}`);
  return enrollRequest(made, key, {
    label,
    wishes: { subject: [], san: undefined, ...wishes } as Partial<CsrTemplate>,
  });
}

export async function enrolled(
  bench: NameBench,
  profile: string,
  names: readonly GivenName[],
): Promise<TestDevice & { key: DeviceKey; certificate: Buffer; san: GeneralName[] }> {
  const made = await register(bench, profile, names);
  const key = newKey();
  const certificate = await enroll(bench.est, firstRequest(bench, made, {}, key));
  return { ...made, key, certificate, san: readCertificate(certificate).san };
}

/** The worker does what a disabled name asks for. */
export async function follow(bench: NameBench, holderId: string) {
  await inStep(bench);
  const progress = await followName(bench.worker, holderId);
  for (const plane of [bench.api, bench.est]) await plane.follower.catchUp(bench.worker.follower.index.seq);
  return progress;
}

/** Entries about this action that were refused since the last look. */
export async function refusals({ db }: NameBench, action: string): Promise<string[]> {
  const rows = await db.sql<{ canonical: Buffer }>(
    `select canonical from audit where action = $1 and outcome = 'refused' order by id`,
    [action],
  );
  return rows.map(({ canonical }) => canonical.toString('utf8'));
}
