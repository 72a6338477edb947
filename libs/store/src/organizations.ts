import type { OrganizationKind } from '#policy';
import type { Tx } from './database.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

export interface Organization {
  id: string;
  kind: OrganizationKind;
  name: string;
  country: string | null;
  createdAt: Date;
}

export interface App {
  id: string;
  name: string;
  ownerOrgId: string;
  issuerOrgId: string;
  createdAt: Date;
}

export interface Release {
  id: string;
  appId: string;
  version: string;
  platform: string | null;
  digest: string | null;
  ownerOrgId: string;
  issuerOrgId: string;
  createdAt: Date;
}

export interface DeviceGroup {
  id: string;
  name: string;
  status: 'active' | 'suspended' | 'revoked';
  ownerOrgId: string;
  issuerOrgId: string;
  createdAt: Date;
}

const OWNERS = `owner_org_id as "ownerOrgId", issuer_org_id as "issuerOrgId", created_at as "createdAt"`;
const COLUMNS = {
  organizations: `id, kind, name, country, created_at as "createdAt"`,
  apps: `id, name, ${OWNERS}`,
  releases: `id, app_id as "appId", version, platform, digest, ${OWNERS}`,
  device_groups: `id, name, status, ${OWNERS}`,
} as const;
type Table = keyof typeof COLUMNS;

async function findIn<T extends object>(tx: Tx, table: Table, id: string): Promise<T | undefined> {
  const [row] = await tx.rows<T>(`select ${COLUMNS[table]} from ${table} where id = $1`, [id]);
  return row;
}

/** Newest first: ids are version 7 UUIDs, so that their order is the order of age. */
async function listFrom<T extends { id: string }>(
  tx: Tx,
  table: Table,
  page: PageRequest,
  only?: { sql: string; value: string },
): Promise<Page<T>> {
  const [before] = page.cursor === undefined ? [null] : decodeCursor(page.cursor, ['uuid']);
  const rows = await tx.rows<T>(
    `select ${COLUMNS[table]} from ${table}
     where ($1::uuid is null or id < $1::uuid) and ${only?.sql ?? 'true'} order by id desc limit $2`,
    [before ?? null, page.limit + 1, ...(only ? [only.value] : [])],
  );
  return toPage(rows, page.limit, (row) => [row.id]);
}

export async function insertOrganization(tx: Tx, row: Omit<Organization, 'createdAt'>): Promise<Organization> {
  const [made] = await tx.rows<Organization>(
    `insert into organizations (id, kind, name, country) values ($1, $2, $3, $4) returning ${COLUMNS.organizations}`,
    [row.id, row.kind, row.name, row.country],
  );
  return made!;
}

export const findOrganization = (tx: Tx, id: string) => findIn<Organization>(tx, 'organizations', id);
export const listOrganizations = (tx: Tx, page: PageRequest) => listFrom<Organization>(tx, 'organizations', page);

/** The organization of the authority itself, made by the first start. */
export async function findAuthority(tx: Tx): Promise<Organization | undefined> {
  const [row] = await tx.rows<Organization>(
    `select ${COLUMNS.organizations} from organizations where kind = 'authority'`,
  );
  return row;
}

export async function insertApp(tx: Tx, row: Omit<App, 'createdAt'>): Promise<App> {
  const [made] = await tx.rows<App>(
    `insert into apps (id, name, owner_org_id, issuer_org_id) values ($1, $2, $3, $4) returning ${COLUMNS.apps}`,
    [row.id, row.name, row.ownerOrgId, row.issuerOrgId],
  );
  return made!;
}

export const findApp = (tx: Tx, id: string) => findIn<App>(tx, 'apps', id);
export const listApps = (tx: Tx, page: PageRequest) => listFrom<App>(tx, 'apps', page);

/** `undefined` when the app already has a release of that version and platform. */
export async function insertRelease(tx: Tx, row: Omit<Release, 'createdAt'>): Promise<Release | undefined> {
  const [made] = await tx.rows<Release>(
    `insert into releases (id, app_id, version, platform, digest, owner_org_id, issuer_org_id)
     values ($1, $2, $3, $4, $5, $6, $7) on conflict (app_id, version, platform) do nothing
     returning ${COLUMNS.releases}`,
    [row.id, row.appId, row.version, row.platform, row.digest, row.ownerOrgId, row.issuerOrgId],
  );
  return made;
}

export const findRelease = (tx: Tx, id: string) => findIn<Release>(tx, 'releases', id);
export const listReleases = (tx: Tx, page: PageRequest, appId: string) =>
  listFrom<Release>(tx, 'releases', page, { sql: 'app_id = $3', value: appId });

export async function insertDeviceGroup(tx: Tx, row: Omit<DeviceGroup, 'createdAt' | 'status'>): Promise<DeviceGroup> {
  const [made] = await tx.rows<DeviceGroup>(
    `insert into device_groups (id, name, owner_org_id, issuer_org_id) values ($1, $2, $3, $4)
     returning ${COLUMNS.device_groups}`,
    [row.id, row.name, row.ownerOrgId, row.issuerOrgId],
  );
  return made!;
}

export const findDeviceGroup = (tx: Tx, id: string) => findIn<DeviceGroup>(tx, 'device_groups', id);
export const listDeviceGroups = (tx: Tx, page: PageRequest) => listFrom<DeviceGroup>(tx, 'device_groups', page);

/** Locks it until the transaction ends: its revocation, and whoever joins or leaves it, follow each other. */
export async function lockDeviceGroup(
  tx: Tx,
  id: string,
  how: 'change' | 'membership',
): Promise<DeviceGroup | undefined> {
  const strength = how === 'change' ? 'no key update' : 'share';
  const [row] = await tx.rows<DeviceGroup>(
    `select ${COLUMNS.device_groups} from device_groups where id = $1 for ${strength}`,
    [id],
  );
  return row;
}

/** Conditional: true when the group was in one of `from`. */
export async function setGroupStatus(
  tx: Tx,
  id: string,
  from: readonly DeviceGroup['status'][],
  to: DeviceGroup['status'],
): Promise<boolean> {
  return (
    (await tx.run(`update device_groups set status = $3 where id = $1 and status = any($2)`, [id, from, to])) === 1
  );
}
