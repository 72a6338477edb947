import { z } from 'zod';
import { USER_TYPES, userStatus, type AuthorityContext } from '#authority';
import type { NameUserRow } from '#store';
import { id, pageOf, pageQuery, text, time } from './values.js';

const types = z.array(z.enum(USER_TYPES)).min(1).max(USER_TYPES.length);

export const newUser = z
  .strictObject({
    address: text(400).meta({ description: 'user@domain; the user part has case' }),
    types: types.optional().meta({ description: 'what names it may be; default all that it has the form of' }),
  })
  .meta({ id: 'NewUser' });

export const userSchema = z
  .strictObject({
    id,
    address: z.string(),
    types: z.array(z.string()),
    domainId: id,
    organizationId: id,
    status: z.enum(['active', 'disabled']),
    createdAt: time,
  })
  .meta({ id: 'User', description: 'Somebody with an address in a domain; not somebody who signs in here' });
export const userPage = pageOf(userSchema);
export const userQuery = z.strictObject({ ...pageQuery, domainId: id.optional(), address: text(400).optional() });

export function userJson(a: AuthorityContext, row: NameUserRow): z.infer<typeof userSchema> {
  return {
    id: row.id,
    address: row.address,
    types: row.types,
    domainId: row.domainId,
    organizationId: row.organizationId,
    status: userStatus(a, row.id),
    createdAt: row.createdAt.toISOString(),
  };
}
