import type { Tx } from './database.js';

/** Number of the last row of the log about a certificate of the issuer (and shard, if one is named); 0 for none. */
export async function newestChangeOfIssuer(tx: Tx, issuerId: string, shard: number | null): Promise<number> {
  const [row] = await tx.rows<{ seq: number }>(
    `select coalesce(max(seq), 0)::float8 as seq from status_changes
     where issuer_id = $1 and ($2::smallint is null or shard = $2)`,
    [issuerId, shard],
  );
  return row!.seq;
}

/** What stands published under a name, without the bytes; undefined for nothing. */
export async function findPublished(
  tx: Tx,
  name: string,
): Promise<{ number: number; seq: number; sha256: Buffer; thisUpdate: Date; nextUpdate: Date | null } | undefined> {
  const [row] = await tx.rows<{
    number: number;
    seq: number;
    sha256: Buffer;
    thisUpdate: Date;
    nextUpdate: Date | null;
  }>(
    `select number::float8 as number, seq::float8 as seq, sha256, this_update as "thisUpdate", next_update as "nextUpdate"
     from artifacts where name = $1`,
    [name],
  );
  return row;
}

/** When these certificates end, by `serials`, which no role may change; serials that were never taken are left out. */
export async function endOfSerials(tx: Tx, serials: readonly Buffer[]): Promise<{ serial: string; notAfter: Date }[]> {
  return tx.rows(
    `select encode(serial, 'hex') as serial, not_after as "notAfter" from serials where serial = any($1::bytea[])`,
    [serials],
  );
}

/** Makes the partitions of the time ahead; returns how many were made. */
export async function ensurePartitions(tx: Tx): Promise<number> {
  const [row] = await tx.rows<{ made: number }>(`select ensure_partitions(now()) as made`);
  return row!.made;
}
