import { z } from 'zod';
import { tokenStatus, type AuthorityContext, type IssuedToken } from '#authority';
import { rolesOf } from '#policy';
import type { ListedToken } from '#store';
import { role } from './people.js';
import { id, instant, pageOf, pageQuery, text, time } from './values.js';

const kind = z.enum(['bootstrap', 'machine', 'personal', 'session']);
const tokenId = z.string().meta({ description: '14 characters, base62; the public part of the token' });

export const newToken = z
  .strictObject({
    name: text(100),
    kind: z.enum(['machine', 'personal']).meta({ description: 'of a program, or your own for the command line' }),
    roles: z.array(role).min(1).max(6).meta({ description: 'not more than your own' }),
    expiresAt: instant.optional(),
    organizationId: id.optional().meta({ description: "default the caller's own; only the authority names another" }),
  })
  .meta({ id: 'NewToken' });

const members = {
  id: tokenId,
  name: z.string(),
  kind,
  organizationId: id,
  personId: id.nullable(),
  createdBy: id.nullable().meta({ description: 'who answers for a machine token' }),
  roles: z.array(z.string()),
  status: z.enum(['active', 'retiring', 'revoked', 'expired']),
  createdAt: time,
  expiresAt: time.nullable(),
  endsAt: time.optional().meta({ description: 'when a retiring token ends' }),
  lastUsedAt: time.nullable().meta({ description: 'to half a minute' }),
  predecessorId: tokenId.nullable(),
};
export const tokenSchema = z.strictObject(members).meta({ id: 'Token' });
export const issuedTokenSchema = z
  .strictObject({ ...members, token: z.string().meta({ description: 'shown only here' }) })
  .meta({ id: 'IssuedToken' });
export const tokenPage = pageOf(tokenSchema);
export const tokenQuery = z.strictObject({ ...pageQuery, kind: kind.optional(), personId: id.optional() });
export const revokedTokenSchema = z
  .strictObject({ id: tokenId, status: z.literal('revoked'), seq: z.int() })
  .meta({ id: 'RevokedToken' });

/** undefined for a row that this authority did not write. */
export function tokenJson(a: AuthorityContext, row: ListedToken): z.infer<typeof tokenSchema> | undefined {
  const status = tokenStatus(a, row.id);
  const endsAt = a.follower.index.token(row.id)?.endsAt;
  return status && { ...shown(row), status, ...(endsAt && { endsAt: endsAt.toISOString() }) };
}

/** Within its own transaction the log does not tell of a new token yet. */
export function issuedTokenJson({ row, token }: IssuedToken): z.infer<typeof issuedTokenSchema> {
  return { ...shown(row), status: 'active', token };
}

function shown(row: ListedToken) {
  const { name, organizationId, personId, createdBy, predecessorId } = row;
  const roles = row.kind === 'bootstrap' ? rolesOf('authority') : row.roles;
  return {
    ...{ id: row.id, name, kind: row.kind, organizationId, personId, createdBy, roles, predecessorId },
    createdAt: row.createdAt.toISOString(),
    expiresAt: row.expiresAt?.toISOString() ?? null,
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
  };
}
