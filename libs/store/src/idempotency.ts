import type { Tx } from './database.js';

export interface IdempotentAnswer {
  requestHash: Buffer;
  status: number;
  salt: Buffer;
  /** Sealed under a key derived from the Idempotency-Key itself; null once it was dropped. */
  sealed: Buffer | null;
  expiresAt: Date;
}

/** Locks the pair against a parallel use of the same key for the rest of the transaction, then reads what is stored. */
export async function lockIdempotent(
  tx: Tx,
  principal: string,
  keyHash: Buffer,
): Promise<IdempotentAnswer | undefined> {
  await tx.rows(`select pg_advisory_xact_lock(hashtextextended($1, 0))`, [`${principal}|${keyHash.toString('hex')}`]);
  const [row] = await tx.rows<IdempotentAnswer>(
    `select request_hash as "requestHash", status, salt, sealed, expires_at as "expiresAt" from idempotency
     where principal = $1 and key_hash = $2`,
    [principal, keyHash],
  );
  return row;
}

/** Drops the answers whose time is over; that the request was done stays known. Returns how many. */
export async function dropEndedAnswers(tx: Tx): Promise<number> {
  return tx.run(`update idempotency set sealed = null where expires_at <= now() and sealed is not null`);
}

export async function storeIdempotent(
  tx: Tx,
  row: IdempotentAnswer & { principal: string; organizationId: string; keyHash: Buffer },
): Promise<void> {
  await tx.run(
    `insert into idempotency (principal, organization_id, key_hash, request_hash, status, salt, sealed, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [row.principal, row.organizationId, row.keyHash, row.requestHash, row.status, row.salt, row.sealed, row.expiresAt],
  );
}
