import { Resolver } from 'node:dns/promises';
import { rowMac } from '#credential';
import { AuthorityError } from '#kernel';
import type { DomainRow } from '#store';
import type { AuthorityContext } from '../context.js';

/** The TXT record by which whoever runs the DNS of a domain says that it is this organization's. */
export interface DomainChallenge {
  name: string;
  value: string;
}

const TRY_MS = 2000;
const TRIES = 2;
/** What DNS answers where there is no such record. */
const ABSENT = /^(ENOTFOUND|ENODATA)$/;

/** Of this claim and no other; nobody can guess it, and it is stored nowhere. */
export function challengeOf(a: Pick<AuthorityContext, 'macKey'>, row: DomainRow): DomainChallenge {
  const { id, name, organizationId } = row;
  const value = rowMac(a.macKey, 'domain-challenge', { id, name, organizationId }).toString('base64url');
  return { name: `_touchmark-challenge.${name}`, value: `touchmark-domain=${value}` };
}

/** Whether DNS has the record now. Throws `unavailable` where it does not answer. */
export async function findProof(a: Pick<AuthorityContext, 'macKey' | 'settings'>, row: DomainRow): Promise<boolean> {
  const { name, value } = challengeOf(a, row);
  const resolver = new Resolver({ timeout: TRY_MS, tries: TRIES });
  const { servers } = a.settings.dns;
  if (servers.length > 0) resolver.setServers([...servers]);
  try {
    const records = await resolver.resolveTxt(name);
    return records.some((parts) => parts.join('') === value);
  } catch (cause) {
    if (ABSENT.test(String((cause as NodeJS.ErrnoException).code))) return false;
    throw new AuthorityError('unavailable', `DNS does not answer for ${name} just now`, { cause, retryAfter: 30 });
  }
}
