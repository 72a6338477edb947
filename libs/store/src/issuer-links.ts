import type { Tx } from './database.js';

export const LINK_FORMS = ['oldWithNew', 'newWithOld', 'cross', 'subCa'] as const;
/**
 * `oldWithNew`, `newWithOld`: of a root's two keys, each by the other (RFC 9810 section 4.4.1). `cross`: a foreign CA
 * certified by ours, or ours by a foreign one. `subCa`: a customer's CA under ours.
 */
export type LinkForm = (typeof LINK_FORMS)[number];

/** A further certificate of a CA key. */
export interface IssuerLinkRow {
  id: string;
  form: LinkForm;
  /** Whose key it certifies; null: somebody else's. */
  subjectIssuerId: string | null;
  /** Who signed it; null: somebody else. */
  issuerId: string | null;
  name: string;
  spkiSha256: Buffer;
  /** DER; null until it is signed. */
  certificate: Buffer | null;
}

export async function insertIssuerLink(tx: Tx, row: IssuerLinkRow): Promise<void> {
  await tx.run(
    `insert into issuer_links (id, form, subject_issuer_id, issuer_id, name, spki_sha256, certificate)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [row.id, row.form, row.subjectIssuerId, row.issuerId, row.name, row.spkiSha256, row.certificate],
  );
}

/** Null to value, once. */
export async function storeLinkCertificate(tx: Tx, id: string, der: Buffer): Promise<boolean> {
  const sql = `update issuer_links set certificate = $2 where id = $1 and certificate is null`;
  return (await tx.run(sql, [id, der])) === 1;
}

/** In the order they were made. */
export async function listIssuerLinks(tx: Tx): Promise<IssuerLinkRow[]> {
  return tx.rows<IssuerLinkRow>(
    `select id, form, subject_issuer_id as "subjectIssuerId", issuer_id as "issuerId", name, spki_sha256 as "spkiSha256",
       certificate from issuer_links order by created_at, id`,
  );
}
