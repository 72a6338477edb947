import { z } from 'zod';
import { keyStatus, type AuthorityContext } from '#authority';
import { AuthorityError } from '#kernel';
import type { KeyRow } from '#store';
import { country, id, instant, pageOf, pageQuery, time } from './values.js';

const audience = z
  .union(
    [
      z.literal('all'),
      z.strictObject({ providers: z.array(id).min(1).max(1000) }),
      z.strictObject({ countries: z.array(country).min(1).max(250) }),
    ],
    { error: 'must be "all", {"providers": [ids]} or {"countries": ["US"]}' },
  )
  .meta({
    id: 'Audience',
    description: '"all" is judged when a key is checked: providers that come later are included',
  });

const status = z.enum(['pending', 'active', 'retiring', 'suspended', 'revoked', 'expired']);
const keyId = z.string().meta({ description: '14 characters, base62; the public part of the key' });

export const newKey = z
  .strictObject({
    releaseId: id,
    issuerId: id.optional().meta({ description: "the testing organization; default the caller's own" }),
    audience,
    environment: z.enum(['live', 'test']),
    enroll: z.boolean().optional().meta({ description: 'devices of the app enroll by it; live keys only' }),
    expiresAt: instant.optional(),
  })
  .meta({ id: 'NewKey' });

export const rotation = z
  .strictObject({
    overlapSeconds: z.int().min(0).max(34_387_200).meta({ description: 'for so long the old key stays valid' }),
  })
  .meta({ id: 'Rotation' });

export const keyRevocation = z.strictObject({ reason: z.string().min(1).max(40) }).meta({ id: 'KeyRevocation' });

const members = {
  id: keyId,
  status,
  releaseId: id,
  issuerId: id,
  environment: z.enum(['live', 'test']),
  audience,
  enroll: z.boolean(),
  createdAt: time,
  expiresAt: time,
  endsAt: time.optional().meta({ description: 'when a retiring key ends, if before expiresAt' }),
  predecessorId: keyId.optional(),
  successorId: keyId.optional().meta({ description: 'told by GET of one key' }),
};
export const keySchema = z.strictObject(members).meta({ id: 'Key' });
export const issuedKeySchema = z
  .strictObject({ ...members, key: z.string().meta({ description: 'shown only here' }) })
  .meta({ id: 'IssuedKey' });
export const keyPage = pageOf(keySchema);
export const keyQuery = z.strictObject({
  ...pageQuery,
  releaseId: id.optional(),
  status: status.optional(),
});

export const isKeyId = (value: string): boolean => /^[0-9A-Za-z]{14}$/.test(value);

export function keyJson(a: AuthorityContext, row: KeyRow, successor?: KeyRow): z.infer<typeof keySchema> {
  const endsAt = a.follower.index.key(row.id)?.endsAt ?? row.endsAt;
  return {
    id: row.id,
    status: keyStatus(a, row),
    releaseId: row.releaseId,
    issuerId: row.issuerOrgId,
    environment: row.environment,
    audience: audienceJson(row),
    enroll: row.enroll,
    createdAt: row.createdAt.toISOString(),
    expiresAt: row.expiresAt.toISOString(),
    ...(endsAt && { endsAt: endsAt.toISOString() }),
    ...(row.predecessorId !== null && { predecessorId: row.predecessorId }),
    ...(successor && { successorId: successor.id }),
  };
}

function audienceJson(row: KeyRow): z.infer<typeof audience> {
  switch (row.audience) {
    case 'all':
      return 'all';
    case 'providers':
      return { providers: row.audienceValues };
    case 'countries':
      return { countries: row.audienceValues };
    default:
      throw new AuthorityError('internal', `unknown audience ${String(row.audience satisfies never)}`);
  }
}
