import { z } from 'zod';
import type { AuthorityContext, Caller } from '#authority';
import { id, time } from './values.js';

export const sessionSchema = z
  .strictObject({
    person: z.strictObject({ id, name: z.string() }).nullable().meta({ description: 'null for a machine' }),
    organization: z.strictObject({ id, kind: z.string() }),
    roles: z.array(z.string()),
    permissions: z.array(z.string()),
    token: z.strictObject({
      id: z.string(),
      name: z.string(),
      kind: z.enum(['bootstrap', 'machine', 'personal', 'session']),
      expiresAt: time.nullable(),
    }),
  })
  .meta({ id: 'Session' });

export function sessionJson(a: AuthorityContext, caller: Caller): z.infer<typeof sessionSchema> {
  const token = a.follower.index.token(caller.tokenId);
  const person = token?.personId ? a.follower.index.person(token.personId) : undefined;
  const ends = [token?.expiresAt, token?.endsAt].flatMap((at) => (at ? [at.toISOString()] : [])).sort();
  return {
    person: person ? { id: person.id, name: person.name } : null,
    organization: { id: caller.organization.id, kind: caller.organization.kind },
    roles: [...caller.roles],
    permissions: [...caller.permissions].sort(),
    token: { id: caller.tokenId, name: token?.name ?? '', kind: caller.kind, expiresAt: ends[0] ?? null },
  };
}
