import type { Tx } from './database.js';

/** Revocation list of a third party, as an operator brought it. */
export interface AnchorCrlRow {
  sha256: Buffer;
  /** Name of the set of trust anchors. */
  anchors: string;
  /** SHA-256 of the public key that signed it. */
  signer: Buffer;
  /** DER. */
  crl: Buffer;
}

/** Keeps it; what it takes the place of goes an hour later, when every process has heard of the new one. */
export async function storeAnchorCrl(tx: Tx, row: AnchorCrlRow): Promise<void> {
  await tx.run(
    `insert into anchor_crls (sha256, anchors, signer, crl) values ($1, $2, $3, $4) on conflict (sha256) do nothing`,
    [row.sha256, row.anchors, row.signer, row.crl],
  );
  await tx.run(
    `delete from anchor_crls where anchors = $1 and signer = $2 and sha256 <> $3 and created_at < now() - interval '1 hour'`,
    [row.anchors, row.signer, row.sha256],
  );
}

export async function findAnchorCrl(tx: Tx, sha256: Buffer): Promise<AnchorCrlRow | undefined> {
  const [row] = await tx.rows<AnchorCrlRow>(`select sha256, anchors, signer, crl from anchor_crls where sha256 = $1`, [
    sha256,
  ]);
  return row;
}
