import type { Tx } from './database.js';

/** False where one of this number is there already. */
export async function insertImportedCrl(tx: Tx, issuerId: string, number: bigint, der: Buffer): Promise<boolean> {
  const sql = `insert into imported_crls (issuer_id, number, der) values ($1, $2, $3) on conflict do nothing`;
  return (await tx.run(sql, [issuerId, String(number), der])) === 1;
}

/**
 * The newest ones by number, at most `limit`: a row that somebody planted above the right one is passed over. One at a time,
 * since each may have megabytes.
 */
export async function* findImportedCrls(tx: Tx, issuerId: string, limit: number): AsyncGenerator<Buffer> {
  const sql = `select der from imported_crls where issuer_id = $1 order by number desc offset $2 limit 1`;
  for (let passed = 0; passed < limit; passed++) {
    const [row] = await tx.rows<{ der: Buffer }>(sql, [issuerId, passed]);
    if (row === undefined) return;
    yield row.der;
  }
}
