import type { Tx } from './database.js';

/** A one-time code that lets one person in. The code itself is stored nowhere. */
export interface InvitationRow {
  id: string;
  personId: string;
  organizationId: string;
  sealedVerifier: Buffer;
  pepperVersion: number;
  expiresAt: Date;
  mac: Buffer;
}

export async function insertInvitation(tx: Tx, row: InvitationRow): Promise<void> {
  await tx.run(
    `insert into invitations (id, person_id, organization_id, sealed_verifier, pepper_version, expires_at, mac)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [row.id, row.personId, row.organizationId, row.sealedVerifier, row.pepperVersion, row.expiresAt, row.mac],
  );
}

/** Unused ones only. */
export async function findInvitation(tx: Tx, id: string): Promise<InvitationRow | undefined> {
  const [row] = await tx.rows<InvitationRow>(
    `select id, person_id as "personId", organization_id as "organizationId", sealed_verifier as "sealedVerifier",
       pepper_version as "pepperVersion", expires_at as "expiresAt", mac
     from invitations where id = $1 and used_at is null`,
    [id],
  );
  return row;
}

/** False when it was used already: of two at once, one wins. */
export async function useInvitation(tx: Tx, id: string, at: Date): Promise<boolean> {
  return (await tx.run(`update invitations set used_at = $2 where id = $1 and used_at is null`, [id, at])) === 1;
}

/** What was sent before is worth nothing once there is a new one, or the person is gone. */
export async function withdrawInvitations(tx: Tx, personId: string, at: Date): Promise<void> {
  await tx.run(`update invitations set used_at = $2 where person_id = $1 and used_at is null`, [personId, at]);
}
