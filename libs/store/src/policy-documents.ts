import type { Tx } from './database.js';

/** What a document decides about: how certificates of a kind are, what an EST label offers, whom a label trusts besides us. */
export type PolicyDocumentKind = 'profile' | 'label' | 'anchors';

/** One version of a document, as two people decided it. */
export interface PolicyDocumentRow {
  kind: PolicyDocumentKind;
  name: string;
  version: number;
  /** RFC 8785 JSON; its SHA-256 stands in the status log. */
  document: Buffer;
  approvalId: string;
  /** Under secrets/status.mac; made and checked above this lib. */
  mac: Buffer;
}

/** False when there is such a version already. */
export async function insertPolicyDocument(tx: Tx, row: PolicyDocumentRow): Promise<boolean> {
  const inserted = await tx.run(
    `insert into policy_documents (kind, name, version, document, approval_id, mac) values ($1, $2, $3, $4, $5, $6)
     on conflict do nothing`,
    [row.kind, row.name, row.version, row.document, row.approvalId, row.mac],
  );
  return inserted === 1;
}

/** Every stored version of the documents named, for the in-memory index. */
export async function findPolicyDocuments(
  tx: Tx,
  wanted: readonly Pick<PolicyDocumentRow, 'kind' | 'name'>[],
): Promise<PolicyDocumentRow[]> {
  return tx.rows<PolicyDocumentRow>(
    `select kind, name, version, document, approval_id as "approvalId", mac from policy_documents
     where (kind, name) in (select * from unnest($1::text[], $2::text[])) order by kind, name, version`,
    [wanted.map((one) => one.kind), wanted.map((one) => one.name)],
  );
}
