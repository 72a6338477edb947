import { z } from 'zod';
import { challengeOf, domainStatus, type AuthorityContext } from '#authority';
import type { DomainRow } from '#store';
import { id, pageOf, text, time } from './values.js';

export const newDomain = z
  .strictObject({
    name: text(300).meta({ description: 'a domain; internationalised ones in A-labels' }),
    organizationId: id.optional().meta({ description: "whose it is; default the caller's own" }),
    proof: z.enum(['dns', 'grant']).default('dns'),
  })
  .meta({
    id: 'NewDomain',
    description: 'proof: a TXT record, or the word of two people of the authority (202), where DNS cannot tell',
  });

export const domainSchema = z
  .strictObject({
    id,
    name: z.string(),
    organizationId: id,
    status: z.enum(['proposed', 'verified', 'lapsed', 'disabled']),
    proof: z.enum(['dns', 'grant']).nullable().meta({ description: 'what it is held by' }),
    provedAt: time.nullable().meta({ description: 'when that was recorded last' }),
    challenge: z
      .strictObject({ type: z.literal('TXT'), name: z.string(), value: z.string() })
      .meta({ description: 'the DNS record that proves it; it stays there as long as the domain is to be held' }),
    createdAt: time,
  })
  .meta({ id: 'Domain' });
export const domainPage = pageOf(domainSchema);

/** Of domains and users alike. */
export const nameEnd = z
  .strictObject({ reason: z.string().min(1).max(40).optional() })
  .optional()
  .meta({
    id: 'NameEnd',
    description:
      'reason of the revocations: affiliationChanged, cessationOfOperation (default), superseded, unspecified; privilegeWithdrawn (default of the authority) is lifted by the authority alone',
  });

export function domainJson(a: AuthorityContext, row: DomainRow): z.infer<typeof domainSchema> {
  const entry = a.follower.index.domain(row.id);
  const verified = entry?.status === 'verified';
  return {
    id: row.id,
    name: row.name,
    organizationId: row.organizationId,
    status: domainStatus(a, row.id),
    proof: verified ? (entry.reason === 'dns' ? 'dns' : 'grant') : null,
    provedAt: verified ? entry.at.toISOString() : null,
    challenge: { type: 'TXT', ...challengeOf(a, row) },
    createdAt: row.createdAt.toISOString(),
  };
}
