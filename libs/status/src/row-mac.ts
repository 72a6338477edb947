import { timingSafeEqual, type KeyObject } from 'node:crypto';
import { rowMac, sealContext } from '#credential';
import { AuthorityError } from '#kernel';
import type { IntentRow, KeyRow, OperatorTokenRow } from '#store';

type KeyFacts = Pick<
  KeyRow,
  | 'id'
  | 'releaseId'
  | 'environment'
  | 'audience'
  | 'audienceValues'
  | 'predecessorId'
  | 'expiresAt'
  | 'ownerOrgId'
  | 'issuerOrgId'
>;
type TokenFacts = Pick<OperatorTokenRow, 'id' | 'organizationId' | 'name' | 'expiresAt'>;

function keyFields(row: KeyFacts): Record<string, string> {
  return {
    id: row.id,
    releaseId: row.releaseId,
    environment: row.environment,
    audience: row.audience,
    audienceValues: row.audienceValues.join(','),
    predecessorId: row.predecessorId ?? '',
    expiresAt: row.expiresAt.toISOString(),
    ownerOrgId: row.ownerOrgId,
    issuerOrgId: row.issuerOrgId,
  };
}

function tokenFields(row: TokenFacts): Record<string, string> {
  return {
    id: row.id,
    organizationId: row.organizationId,
    name: row.name,
    expiresAt: row.expiresAt?.toISOString() ?? '',
  };
}

/** Under what a key's verifier and derivation root are sealed: they open in no other row. */
export const keySealContext = (row: KeyFacts): Buffer => sealContext('api-key', keyFields(row));
export const tokenSealContext = (row: TokenFacts): Buffer => sealContext('operator-token', tokenFields(row));

/** Covers what is fixed about a key, the audience included, under secrets/status.mac. */
export const keyRowMac = (macKey: KeyObject, row: KeyFacts): Buffer => rowMac(macKey, 'keys', keyFields(row));
export const tokenRowMac = (macKey: KeyObject, row: TokenFacts): Buffer =>
  rowMac(macKey, 'operator_tokens', tokenFields(row));

type IntentFacts = Pick<
  IntentRow,
  'serial' | 'issuerId' | 'tbs' | 'profile' | 'profileVersion' | 'deviceId' | 'requester'
>;

/** Covers what an intent asks to be signed, for whom: SQL write access alone does not make the signer sign. */
export const intentRowMac = (macKey: KeyObject, row: IntentFacts): Buffer =>
  rowMac(macKey, 'certificates', {
    serial: row.serial.toString('hex'),
    issuerId: row.issuerId,
    tbs: row.tbs.toString('base64'),
    profile: row.profile,
    profileVersion: String(row.profileVersion),
    deviceId: row.deviceId ?? '',
    requester: row.requester,
  });

/** Throws `internal` (code `rowMac`) for a row that somebody without the key wrote or changed. */
export function checkRowMac(stored: Buffer, computed: Buffer, what: string): void {
  if (stored.length !== computed.length || !timingSafeEqual(stored, computed)) {
    throw new AuthorityError('internal', `${what} was not written by this authority`, { code: 'rowMac' });
  }
}
