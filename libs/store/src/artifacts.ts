import type { Tx } from './database.js';

/** What the status plane serves. `number` only rises: CRL number, or 0-based version. */
export interface Artifact {
  name: string;
  mediaType: string;
  number: number;
  /** Up to which row of status_changes it speaks. */
  seq: number;
  thisUpdate: Date;
  nextUpdate: Date | null;
  sha256: Buffer;
  bytes: Buffer;
}

const COLUMNS = `name, media_type as "mediaType", number::float8 as number, seq::float8 as seq, this_update as "thisUpdate",
  next_update as "nextUpdate", sha256, bytes`;

export async function findArtifact(tx: Tx, name: string): Promise<Artifact | undefined> {
  const [row] = await tx.rows<Artifact>(`select ${COLUMNS} from artifacts where name = $1`, [name]);
  return row;
}

/** Everything but the bytes: to see what is newer than what one holds. */
export async function listArtifacts(tx: Tx): Promise<Omit<Artifact, 'bytes'>[]> {
  return tx.rows<Omit<Artifact, 'bytes'>>(`select ${COLUMNS.replace(', bytes', '')} from artifacts order by name`);
}

/**
 * Compare-and-swap: replaces the artifact only if `number` is higher and `seq` is not lower than what stands there, and
 * what stands there is still what the publisher compared its own with (`expectedSha256`, null for none). A row that claims
 * changes which never were is no bar.
 */
export async function swapArtifact(tx: Tx, artifact: Artifact, expectedSha256: Buffer | null): Promise<boolean> {
  const values = [
    artifact.name,
    artifact.mediaType,
    artifact.number,
    artifact.seq,
    artifact.thisUpdate,
    artifact.nextUpdate,
    artifact.sha256,
    artifact.bytes,
  ];
  if (expectedSha256 === null) {
    const sql = `insert into artifacts (name, media_type, number, seq, this_update, next_update, sha256, bytes)
      values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (name) do nothing`;
    return (await tx.run(sql, values)) === 1;
  }
  const sql = `update artifacts set media_type = $2, number = $3, seq = $4, this_update = $5, next_update = $6, sha256 = $7,
      bytes = $8, created_at = now()
    where name = $1 and number < $3 and sha256 = $9
      and (seq <= $4 or seq > (select seq from status_counter where id = 1))`;
  return (await tx.run(sql, [...values, expectedSha256])) === 1;
}

/** The highest seq that anything published has seen: nobody may believe a log that ends below it. */
export async function highestPublishedSeq(tx: Tx): Promise<number> {
  const [row] = await tx.rows<{ seq: number }>(`select coalesce(max(seq), 0)::float8 as seq from artifacts`);
  return row!.seq;
}

/** The next number of a scope (`full` or a shard), committed before the CRL is signed. */
export async function nextCrlNumber(tx: Tx, issuerId: string, scope: string): Promise<number> {
  const [row] = await tx.rows<{ number: number }>(
    `insert into crl_scopes (issuer_id, scope, number) values ($1, $2, 1)
     on conflict (issuer_id, scope) do update set number = crl_scopes.number + 1
     returning number::float8 as number`,
    [issuerId, scope],
  );
  return row!.number;
}

export interface StoredOcspAnswer {
  serial: Buffer;
  hash: 'sha1' | 'sha256';
  seq: number;
  thisUpdate: Date;
  nextUpdate: Date;
  der: Buffer;
}

const OCSP_COLUMNS = `serial, hash, seq::float8 as seq, this_update as "thisUpdate", next_update as "nextUpdate", der`;

/** Never replaces an answer by one that knows less. */
export async function storeOcspAnswer(tx: Tx, row: StoredOcspAnswer): Promise<boolean> {
  const sql = `insert into ocsp_answers (serial, hash, seq, this_update, next_update, der) values ($1, $2, $3, $4, $5, $6)
    on conflict (serial, hash) do update set seq = $3, this_update = $4, next_update = $5, der = $6
    where ocsp_answers.seq <= $3 and ocsp_answers.this_update <= $4`;
  return (await tx.run(sql, [row.serial, row.hash, row.seq, row.thisUpdate, row.nextUpdate, row.der])) === 1;
}

export async function findOcspAnswer(
  tx: Tx,
  serial: Buffer,
  hash: 'sha1' | 'sha256',
): Promise<StoredOcspAnswer | undefined> {
  const [row] = await tx.rows<StoredOcspAnswer>(
    `select ${OCSP_COLUMNS} from ocsp_answers where serial = $1 and hash = $2`,
    [serial, hash],
  );
  return row;
}

/** Serials whose stored answer was signed before `before` and whose certificate has not ended: to be signed anew. */
export async function findAgingOcspAnswers(tx: Tx, before: Date, limit: number): Promise<Buffer[]> {
  const rows = await tx.rows<{ serial: Buffer }>(
    `select distinct a.serial from ocsp_answers a join serials s on s.serial = a.serial
     where a.this_update < $1 and s.not_after > now() limit $2`,
    [before, limit],
  );
  return rows.map((row) => row.serial);
}

/** Of one CRL: the number that was last given out, and the one that stands published; 0 for none. */
export async function readCrlNumbers(
  tx: Tx,
  crl: { issuerId: string; scope: string; name: string },
): Promise<{ reserved: number; published: number }> {
  const [row] = await tx.rows<{ reserved: number; published: number }>(
    `select coalesce((select number from crl_scopes where issuer_id = $1 and scope = $2), 0)::float8 as reserved,
       coalesce((select number from artifacts where name = $3), 0)::float8 as published`,
    [crl.issuerId, crl.scope, crl.name],
  );
  return row!;
}
