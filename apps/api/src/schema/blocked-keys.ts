import { z } from 'zod';
import { BLOCK_SOURCES, type BlockedKey, type KeyFinding } from '#store';
import type { ImportedKeys } from '#authority';
import { proposedJson, proposedSchema } from '../proposals.js';
import { hex, id, pageOf, text, time } from './values.js';

/** Room within the limit of the body for hexadecimal digests, and for PEM of the keys that are usual. */
const MOST_KEYS = 500;

export const newKeyImport = z
  .strictObject({
    keys: z.array(z.string().min(1).max(32_768)).min(1).max(MOST_KEYS).meta({
      description:
        'each: SHA-256 of a SubjectPublicKeyInfo as hex, or PEM of a public key, a certificate or a request; never a private key',
    }),
    reason: text(200).meta({ description: 'why nobody is to have these keys certified' }),
    revoke: z
      .boolean()
      .default(false)
      .meta({ description: 'also propose to revoke, as compromised, what carries them' }),
  })
  .meta({ id: 'NewKeyImport' });

export const keyImportSchema = z
  .strictObject({
    importId: id,
    added: z.int(),
    known: z.int().meta({ description: 'blocked before; they stay as they are' }),
    affected: z.int().meta({ description: 'good certificates with a key that was added' }),
    proposed: proposedSchema.nullable(),
  })
  .meta({ id: 'KeyImport' });

export const blockedKeySchema = z
  .strictObject({
    spkiSha256: hex,
    source: z.enum(BLOCK_SOURCES),
    reason: z.string(),
    actor: z.string().nullable(),
    importId: id.nullable(),
    createdAt: time,
  })
  .meta({ id: 'BlockedKey' });
export const blockedKeyPage = pageOf(blockedKeySchema);

export const keyFindingSchema = z
  .strictObject({
    serial: hex,
    problem: z.enum(['blocked', 'weak']),
    detail: z.string(),
    notAfter: time,
    foundAt: time,
  })
  .meta({ id: 'KeyFinding', description: 'A certificate that is good and whose key is not' });
export const keyFindingPage = pageOf(keyFindingSchema);

export function keyImportJson({ proposed, ...counts }: ImportedKeys): z.infer<typeof keyImportSchema> {
  return { ...counts, proposed: proposed === undefined ? null : proposedJson(proposed) };
}

export function blockedKeyJson(row: BlockedKey): z.infer<typeof blockedKeySchema> {
  const { spkiSha256, source, reason, actor, importId, createdAt } = row;
  return {
    spkiSha256: spkiSha256.toString('hex'),
    source,
    reason,
    actor,
    importId,
    createdAt: createdAt.toISOString(),
  };
}

export function keyFindingJson(row: KeyFinding): z.infer<typeof keyFindingSchema> {
  const { serial, problem, detail, notAfter, foundAt } = row;
  return {
    serial: serial.toString('hex'),
    problem,
    detail,
    notAfter: notAfter.toISOString(),
    foundAt: foundAt.toISOString(),
  };
}
