import { z } from 'zod';
import type { AuthorityContext, RemovedPerson } from '#authority';
import { ROLES } from '#policy';
import type { ListedPerson } from '#store';
import { id, pageOf, text, time } from './values.js';

export const role = z.enum(ROLES);

export const newPerson = z
  .strictObject({
    name: text(200),
    email: z.email('must be an e-mail address').max(254).optional(),
    organizationId: id.optional().meta({ description: "default the caller's own; only the authority names another" }),
  })
  .meta({ id: 'NewPerson' });

export const personSchema = z
  .strictObject({
    id,
    name: z.string(),
    email: z.string().nullable(),
    organizationId: id,
    status: z.enum(['active', 'revoked']),
    roles: z.array(role).meta({ description: 'as granted now' }),
    oidcIssuer: z.string().nullable().meta({ description: 'where this person signs in, if by OpenID Connect' }),
    createdAt: time,
  })
  .meta({ id: 'Person' });
export const personPage = pageOf(personSchema);

export const invitationSchema = z
  .strictObject({
    id: z.string(),
    code: z.string().meta({ description: 'for one sign-in; shown only here' }),
    expiresAt: time,
  })
  .meta({ id: 'Invitation' });

export const removedSchema = z
  .strictObject({
    id,
    status: z.literal('revoked'),
    seq: z.int(),
    machineTokens: z.array(z.string()).meta({ description: 'made by this person, and still good' }),
  })
  .meta({ id: 'RemovedPerson' });

/** Roles and standing as the log says; undefined for a row that this authority did not write. */
export function personJson(a: AuthorityContext, row: ListedPerson): z.infer<typeof personSchema> | undefined {
  const entry = a.follower.index.person(row.id);
  return (
    entry && { ...shown(row), organizationId: entry.organizationId, status: entry.status, roles: [...entry.roles] }
  );
}

/** Within its own transaction the log does not tell of a new person yet. */
export function newPersonJson(row: ListedPerson): z.infer<typeof personSchema> {
  return { ...shown(row), status: 'active', roles: [] };
}

function shown(row: ListedPerson) {
  const { name, email, organizationId, oidcIssuer, createdAt } = row;
  return { id: row.id, name, email, organizationId, oidcIssuer, createdAt: createdAt.toISOString() };
}

export const removedJson = (removed: RemovedPerson): z.infer<typeof removedSchema> => ({ ...removed });
