import type { Tx } from './database.js';

/** A profile as changed by approval; what was never changed is the shipped version 1. */
export interface ProfileVersionRow {
  name: string;
  /** From 2 on. */
  version: number;
  /** RFC 8785 JSON of everything that differs from the shipped profile; its SHA-256 stands in the status log. */
  settings: Buffer;
  approvalId: string;
  /** Under secrets/status.mac; made and checked above this lib. */
  mac: Buffer;
}

/** False when the profile has this version already. */
export async function insertProfileVersion(tx: Tx, row: ProfileVersionRow): Promise<boolean> {
  const inserted = await tx.run(
    `insert into profile_versions (name, version, settings, approval_id, mac) values ($1, $2, $3, $4, $5)
     on conflict do nothing`,
    [row.name, row.version, row.settings, row.approvalId, row.mac],
  );
  return inserted === 1;
}

/** Every stored version of the profiles named, for the in-memory index. */
export async function findProfileVersions(tx: Tx, names: readonly string[]): Promise<ProfileVersionRow[]> {
  return tx.rows<ProfileVersionRow>(
    `select name, version, settings, approval_id as "approvalId", mac from profile_versions
     where name = any($1) order by name, version`,
    [names],
  );
}
