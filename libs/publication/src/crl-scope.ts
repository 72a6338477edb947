import type { Lifetimes } from '#kernel';
import { CRL_REASON_CODES, type CrlReason } from '#pki';
import type { PublishedIssuer } from './publisher.js';

/** `full`: every certificate of the issuer, without issuing distribution point (C19). A number: the shard (C18). */
export type CrlScope = 'full' | number;

export const CRL_MEDIA_TYPE = 'application/pkix-crl';

/** Every CRL that this issuer publishes: a root one, an issuing CA one full CRL and one for each shard. */
export function crlScopes(issuer: Pick<PublishedIssuer, 'kind' | 'shards'>): CrlScope[] {
  if (issuer.kind === 'root') return ['full'];
  return ['full', ...Array.from({ length: issuer.shards }, (_, shard) => shard)];
}

/** Name of the artifact, which is also the path below the status URL. */
export function crlName(issuerId: string, scope: CrlScope): string {
  return scope === 'full' ? `crl/${issuerId}.crl` : `crl/${issuerId}/${scope}.crl`;
}

/** Seconds from thisUpdate to nextUpdate. */
export function crlLifetime(issuer: Pick<PublishedIssuer, 'kind'>, lifetimes: Lifetimes): number {
  return issuer.kind === 'root' ? lifetimes.rootCrlNextUpdate : lifetimes.crlNextUpdate;
}

/** Seconds after which a CRL is published anew though nothing changed: a root's ten times in its life (C21). */
export function crlRebuildAge(issuer: Pick<PublishedIssuer, 'kind'>, lifetimes: Lifetimes): number {
  return issuer.kind === 'root' ? Math.floor(lifetimes.rootCrlNextUpdate / 10) : lifetimes.crlRebuild;
}

/** A reason of the log by its RFC 5280 name; whatever else stands there is published as unspecified. */
export function crlReason(reason: string | null): CrlReason {
  if (reason === null || !Object.hasOwn(CRL_REASON_CODES, reason)) return 'unspecified';
  return reason === 'removeFromCRL' ? 'unspecified' : (reason as CrlReason);
}
