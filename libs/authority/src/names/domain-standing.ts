import { addSeconds, AuthorityError } from '#kernel';
import { checkRowMac, domainRowMac, type StatusEntry } from '#status';
import { findDomainClaims, type DomainRow } from '#store';
import type { AuthorityContext } from '../context.js';
import { readEveryClaim } from './every-claim.js';

export type DomainStatus = 'proposed' | 'verified' | 'lapsed' | 'disabled';

/** How long a DNS proof counts without being found again (S21): whatever a row says, the log says when it was. */
export const PROOF_SECONDS = 30 * 86_400;
/** Above, in the log: what a domain is held by. */
export const BY_DNS = 'dns';
export const byGrant = (approvalId: string): string => `grant:${approvalId}`;

/** Whether names may rest on it now. */
export function isHeld(a: Pick<AuthorityContext, 'clock'>, entry: StatusEntry | undefined): boolean {
  if (entry?.status !== 'verified') return false;
  return entry.reason !== BY_DNS || addSeconds(entry.at, PROOF_SECONDS) > a.clock.now();
}

/** As shown, by the log. */
export function domainStatus(a: Pick<AuthorityContext, 'clock' | 'follower'>, id: string): DomainStatus {
  const entry = a.follower.index.domain(id);
  if (entry === undefined) return 'proposed';
  if (entry.status === 'disabled') return 'disabled';
  return isHeld(a, entry) ? 'verified' : 'lapsed';
}

/** The name itself and every domain above it, the closest first. */
function upwards(host: string): string[] {
  const labels = host.split('.');
  return labels.slice(0, -1).map((_, from) => labels.slice(from).join('.'));
}

/**
 * The claim that a host is under: of the closest domain that somebody holds. Rows count only as they were written by this
 * authority, and while the log says so.
 */
export async function holderOf(a: AuthorityContext, host: string): Promise<DomainRow | undefined> {
  const claims = await readEveryClaim(a, (tx) => findDomainClaims(tx, upwards(host)));
  const held = claims.filter(({ id }) => isHeld(a, a.follower.index.domain(id)));
  held.sort((one, other) => other.name.length - one.name.length);
  for (const row of held) checkDomain(a, row);
  return held[0];
}

/** Throws `internal` (code `rowMac`). */
export function checkDomain(a: Pick<AuthorityContext, 'macKey'>, row: DomainRow): void {
  checkRowMac(row.mac, domainRowMac(a.macKey, row), `domain ${row.id}`);
}

/**
 * One organization at a time holds a domain with everything below it, but for what another one held before. Throws
 * `conflict` (code `domainTaken`) and does not say whose it is.
 */
export async function requireFree(a: AuthorityContext, name: string, organizationId: string): Promise<void> {
  const holder = await holderOf(a, name);
  if (holder === undefined || holder.organizationId === organizationId) return;
  throw new AuthorityError('conflict', 'the domain, or one above it, is held by another organization', {
    member: 'name',
    code: 'domainTaken',
  });
}

/** One text for a name of another tenant and one that nobody has (SX05). */
export const notEntitled = (name: string): AuthorityError =>
  new AuthorityError('forbidden', `${name} is not a name that this organization holds`, {
    member: 'names',
    code: 'nameNotEntitled',
  });
