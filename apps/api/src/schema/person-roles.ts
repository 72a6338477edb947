import { z } from 'zod';
import { ROLES } from '#policy';
import { id } from './values.js';

export const roleGrant = z
  .strictObject({ roles: z.array(z.enum(ROLES)).min(1).max(ROLES.length) })
  .meta({ id: 'RoleGrant' });
export const personRolesSchema = z
  .strictObject({ personId: id, roles: z.array(z.enum(ROLES)) })
  .meta({ id: 'PersonRoles', description: 'the roles that the person has now' });
