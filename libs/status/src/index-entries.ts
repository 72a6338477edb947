import type { Role } from '#policy';
import type { AudienceKind, KeyStatus, TokenKind } from '#store';

/** What the log says last about a certificate, a device or a group; absent means nothing was ever changed. */
export interface StatusEntry {
  status: string;
  reason: string | null;
  at: Date;
  invalidityDate: Date | null;
  seq: number;
}

/** An API key as it is checked: everything in memory, the verifier opened once. */
export interface KeyEntry {
  id: string;
  /** SHA-256 that the presented secret must hash to. */
  verifier: Buffer;
  releaseId: string;
  environment: 'live' | 'test';
  audience: AudienceKind;
  audienceValues: readonly string[];
  /** Whether devices of the app may enroll by it. */
  enroll: boolean;
  ownerOrgId: string;
  issuerOrgId: string;
  expiresAt: Date;
  status: KeyStatus;
  reason: string | null;
  /** End of a retiring key, where before expiresAt. */
  endsAt: Date | null;
  /** Row of the log that says so. */
  seq: number;
}

export interface TokenEntry {
  id: string;
  verifier: Buffer;
  organizationId: string;
  name: string;
  kind: TokenKind;
  /** Whom a personal token or a session stands for. */
  personId: string | null;
  /** Who answers for a machine token. */
  createdBy: string | null;
  roles: readonly Role[];
  expiresAt: Date | null;
  status: string;
  /** End of a token that was rotated, where before expiresAt. */
  endsAt: Date | null;
  seq: number;
}

export interface PersonEntry {
  id: string;
  organizationId: string;
  name: string;
  status: 'active' | 'revoked';
  /** As the log grants them now. */
  roles: ReadonlySet<Role>;
  seq: number;
}

/** A policy document as decided last. */
export interface DocumentEntry {
  /** Of the last version that was in force. */
  version: number;
  /** `v<version>`, or `withdrawn`, as the log says it. */
  status: string;
  /** The JSON as parsed. undefined: the row of this version is not the one that was approved; nothing may rest on it. */
  document: unknown;
  seq: number;
}
