/** Bytes as a `bytea` column of a `jsonb_to_recordset` reads them. */
export const hexOf = (bytes: Buffer): string => `\\x${bytes.toString('hex')}`;

export const hexOrNull = (bytes: Buffer | null): string | null => bytes && hexOf(bytes);
