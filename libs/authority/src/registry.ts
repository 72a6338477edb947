import { appendAudit, type AuditAction } from '#audit';
import { AuthorityError } from '#kernel';
import type { OrganizationKind } from '#policy';
import {
  findApp,
  findOrganization,
  insertApp,
  insertDeviceGroup,
  insertOrganization,
  insertRelease,
  isId,
  newId,
  type App,
  type DeviceGroup,
  type Organization,
  type Release,
  type Tx,
} from '#store';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';

/** A foreign id answers exactly like an absent one. */
export function notFound(what: string): AuthorityError {
  return new AuthorityError('notFound', `no such ${what}`);
}

export async function createOrganization(
  a: AuthorityContext,
  actor: Actor,
  request: { name: string; kind: Exclude<OrganizationKind, 'authority'>; country?: string | undefined },
): Promise<Organization> {
  if (!actor.authority) throw new AuthorityError('forbidden', 'only the authority creates organizations');
  return a.database.transaction(
    async (tx) => {
      const made = await insertOrganization(tx, { id: newId(a.clock), ...request, country: request.country ?? null });
      await audit(tx, a, actor, 'organization.created', `organization:${made.id}`, made.id, { kind: made.kind });
      return made;
    },
    scopeOf(a, actor),
  );
}

/** The vendor owns the app; the caller's organization vouches for it. */
export async function createApp(
  a: AuthorityContext,
  actor: Actor,
  request: { name: string; vendorId: string },
): Promise<App> {
  return a.database.transaction(
    async (tx) => {
      const vendor = await requireVendor(tx, request.vendorId);
      const made = await insertApp(tx, {
        id: newId(a.clock),
        name: request.name,
        ownerOrgId: vendor.id,
        issuerOrgId: actor.organizationId,
      });
      await audit(tx, a, actor, 'app.created', `app:${made.id}`, vendor.id, { name: made.name });
      return made;
    },
    scopeOf(a, actor),
  );
}

export async function createRelease(
  a: AuthorityContext,
  actor: Actor,
  appId: string,
  request: { version: string; platform?: string | undefined; digest?: string | undefined },
): Promise<Release> {
  return a.database.transaction(
    async (tx) => {
      const app = isId(appId) ? await findApp(tx, appId) : undefined;
      if (!app) throw notFound('app');
      const made = await insertRelease(tx, {
        id: newId(a.clock),
        appId: app.id,
        version: request.version,
        platform: request.platform ?? null,
        digest: request.digest ?? null,
        ownerOrgId: app.ownerOrgId,
        issuerOrgId: app.issuerOrgId,
      });
      if (!made)
        throw new AuthorityError('conflict', 'the app already has this version for this platform', {
          member: 'version',
        });
      await audit(tx, a, actor, 'release.created', `release:${made.id}`, app.ownerOrgId, { version: made.version });
      return made;
    },
    scopeOf(a, actor),
  );
}

/** A group of devices that are trusted alike; of a vendor if one is named, else of the caller's organization. */
export async function createDeviceGroup(
  a: AuthorityContext,
  actor: Actor,
  request: { name: string; vendorId?: string | undefined },
): Promise<DeviceGroup> {
  return a.database.transaction(
    async (tx) => {
      const owner =
        request.vendorId === undefined ? actor.organizationId : (await requireVendor(tx, request.vendorId)).id;
      const made = await insertDeviceGroup(tx, {
        id: newId(a.clock),
        name: request.name,
        ownerOrgId: owner,
        issuerOrgId: actor.organizationId,
      });
      await audit(tx, a, actor, 'group.created', `group:${made.id}`, owner, { name: made.name });
      return made;
    },
    scopeOf(a, actor),
  );
}

async function requireVendor(tx: Tx, id: string): Promise<Organization> {
  const vendor = isId(id) ? await findOrganization(tx, id) : undefined;
  if (vendor?.kind !== 'vendor') {
    throw new AuthorityError('invalid', 'vendorId: no such vendor organization', { member: 'vendorId' });
  }
  return vendor;
}

async function audit(
  tx: Tx,
  a: AuthorityContext,
  actor: Actor,
  action: AuditAction,
  subject: string,
  ownerOrgId: string,
  detail: Readonly<Record<string, string>>,
): Promise<void> {
  await appendAudit(tx, {
    at: a.clock.now(),
    actor: actor.id,
    action,
    subject,
    outcome: 'success',
    requestId: actor.requestId,
    detail,
    ownerOrgId,
    issuerOrgId: actor.organizationId,
  });
}
