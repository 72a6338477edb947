import type { Tx } from './database.js';

/** Whose it is and its public key are fixed and covered by the MAC; whether it is good says the status log. */
export interface PasskeyRow {
  /** Credential id, base64url. */
  id: string;
  personId: string;
  organizationId: string;
  name: string;
  /** COSE_Key. */
  publicKey: Buffer;
  counter: number;
  transports: string[];
  mac: Buffer;
}

export type ListedPasskey = Omit<PasskeyRow, 'publicKey' | 'counter' | 'mac'> & {
  createdAt: Date;
  lastUsedAt: Date | null;
};

const COLUMNS = `id, person_id as "personId", organization_id as "organizationId", name, transports`;

/** False when the authenticator's credential is known already, whoever has it. */
export async function insertPasskey(tx: Tx, row: PasskeyRow): Promise<boolean> {
  const added = await tx.run(
    `insert into passkeys (id, person_id, organization_id, name, public_key, counter, transports, mac)
     values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (id) do nothing`,
    [row.id, row.personId, row.organizationId, row.name, row.publicKey, row.counter, row.transports, row.mac],
  );
  return added === 1;
}

/** Locked, so that of two uses with one counter the second sees the first. */
export async function lockPasskey(tx: Tx, id: string): Promise<PasskeyRow | undefined> {
  const [row] = await tx.rows<PasskeyRow>(
    `select ${COLUMNS}, public_key as "publicKey", counter::float8 as counter, mac from passkeys where id = $1 for update`,
    [id],
  );
  return row;
}

/** Newest first; a person has few. */
export async function passkeysOfPerson(tx: Tx, personId: string): Promise<ListedPasskey[]> {
  return tx.rows<ListedPasskey>(
    `select ${COLUMNS}, created_at as "createdAt", last_used_at as "lastUsedAt" from passkeys where person_id = $1
     order by created_at desc limit 100`,
    [personId],
  );
}

export async function notePasskeyUsed(tx: Tx, id: string, counter: number, at: Date): Promise<void> {
  await tx.run(`update passkeys set counter = $2, last_used_at = $3 where id = $1`, [id, counter, at]);
}
