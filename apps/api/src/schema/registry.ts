import { z } from 'zod';
import { groupStatus, type AuthorityContext } from '#authority';
import type { App, DeviceGroup, Organization, QuotasRow, Release } from '#store';
import { country, id, pageOf, text, time } from './values.js';

export const newOrganization = z
  .strictObject({
    name: text(200),
    kind: z.enum(['testing', 'provider', 'vendor']),
    country: country.optional(),
  })
  .meta({ id: 'NewOrganization' });

export const organizationSchema = z
  .strictObject({
    id,
    name: z.string(),
    kind: z.enum(['authority', 'testing', 'provider', 'vendor']),
    country: z.string().nullable(),
    createdAt: time,
  })
  .meta({ id: 'Organization' });
export const organizationPage = pageOf(organizationSchema);

const perMinute = z.int().min(1).max(1_000_000).nullable();

/** Answer and request alike; null: the setting of the instance. */
export const quotasSchema = z
  .strictObject({ requestsPerMinute: perMinute, issuancePerMinute: perMinute })
  .meta({ id: 'Quotas', description: 'Per minute, over all processes together; null: the setting of the instance' });

export const newApp = z.strictObject({ name: text(200), vendorId: id }).meta({ id: 'NewApp' });
export const appSchema = z
  .strictObject({ id, name: z.string(), vendorId: id, issuerId: id, createdAt: time })
  .meta({ id: 'App' });
export const appPage = pageOf(appSchema);

export const newRelease = z
  .strictObject({
    version: text(100),
    platform: text(100).optional(),
    digest: text(200).optional(),
  })
  .meta({ id: 'NewRelease' });
export const releaseSchema = z
  .strictObject({
    id,
    appId: id,
    version: z.string(),
    platform: z.string().nullable(),
    digest: z.string().nullable(),
    createdAt: time,
  })
  .meta({ id: 'Release' });
export const releasePage = pageOf(releaseSchema);

export const newGroup = z.strictObject({ name: text(200), vendorId: id.optional() }).meta({ id: 'NewDeviceGroup' });
export const groupSchema = z
  .strictObject({
    id,
    name: z.string(),
    status: z.enum(['active', 'suspended', 'revoked']),
    ownerId: id,
    createdAt: time,
  })
  .meta({ id: 'DeviceGroup' });
export const groupPage = pageOf(groupSchema);

export function organizationJson(row: Organization): z.infer<typeof organizationSchema> {
  return { id: row.id, name: row.name, kind: row.kind, country: row.country, createdAt: row.createdAt.toISOString() };
}

export function quotasJson(row: QuotasRow): z.infer<typeof quotasSchema> {
  return { requestsPerMinute: row.requestsPerMinute, issuancePerMinute: row.issuancePerMinute };
}

export function appJson(row: App): z.infer<typeof appSchema> {
  return {
    id: row.id,
    name: row.name,
    vendorId: row.ownerOrgId,
    issuerId: row.issuerOrgId,
    createdAt: row.createdAt.toISOString(),
  };
}

export function releaseJson(row: Release): z.infer<typeof releaseSchema> {
  const { id: releaseId, appId, version, platform, digest } = row;
  return { id: releaseId, appId, version, platform, digest, createdAt: row.createdAt.toISOString() };
}

export function groupJson(a: AuthorityContext, row: DeviceGroup): z.infer<typeof groupSchema> {
  return {
    id: row.id,
    name: row.name,
    status: groupStatus(a, row.id),
    ownerId: row.ownerOrgId,
    createdAt: row.createdAt.toISOString(),
  };
}
