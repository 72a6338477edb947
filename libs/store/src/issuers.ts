import type { Tx } from './database.js';

export const ISSUER_KINDS = ['root', 'intermediate', 'issuing'] as const;
export type IssuerKind = (typeof ISSUER_KINDS)[number];

export interface IssuerRow {
  id: string;
  kind: IssuerKind;
  parentId: string | null;
  name: string;
  /** null: its key is not in our signer. */
  caKeyId: string | null;
  subjectDer: Buffer;
  spki: Buffer;
  /** DER; null until its own certificate is signed. */
  certificate: Buffer | null;
  /** Base URL of the status plane as written into this issuer's certificates; fixed when the issuer is made. */
  statusUrl: string;
  shards: number;
  notAfter: Date;
  /** RFC 8785 JSON of what its certificate does not say; null for one of which there is nothing to say. */
  terms: Buffer | null;
}

const COLUMNS = `id, kind, parent_id as "parentId", name, ca_key_id as "caKeyId", subject_der as "subjectDer", spki,
  certificate, status_url as "statusUrl", shards, not_after as "notAfter",
  terms`;

export async function insertIssuer(tx: Tx, row: IssuerRow): Promise<void> {
  await tx.run(
    `insert into issuers (id, kind, parent_id, name, ca_key_id, subject_der, spki, certificate, status_url, shards, not_after,
       terms)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      row.id,
      row.kind,
      row.parentId,
      row.name,
      row.caKeyId,
      row.subjectDer,
      row.spki,
      row.certificate,
      row.statusUrl,
      row.shards,
      row.notAfter,
      row.terms,
    ],
  );
}

/** Null to value, once. */
export async function storeIssuerCertificate(tx: Tx, id: string, der: Buffer): Promise<boolean> {
  return (await tx.run(`update issuers set certificate = $2 where id = $1 and certificate is null`, [id, der])) === 1;
}

/** The certificate of a CA that was made elsewhere, with its end; null to value, once. */
export async function storeImportedCertificate(tx: Tx, id: string, der: Buffer, notAfter: Date): Promise<boolean> {
  const sql = `update issuers set certificate = $2, not_after = $3 where id = $1 and certificate is null`;
  return (await tx.run(sql, [id, der, notAfter])) === 1;
}

/** Until the transaction ends nobody else makes, activates or revokes a CA. */
export async function lockIssuers(tx: Tx): Promise<void> {
  await tx.rows(`select id from issuers order by id for no key update`);
}

/** Roots first, then in the order they were made. */
export async function listIssuers(tx: Tx): Promise<IssuerRow[]> {
  return tx.rows<IssuerRow>(`select ${COLUMNS} from issuers order by kind <> 'root', created_at, id`);
}

export interface CaKeyRow {
  id: string;
  keyType: string;
  spki: Buffer;
  /** null: in a token. */
  sealedPrivate: Buffer | null;
  /** `sealed`, or `pkcs11:` and the label of the token. */
  location: string;
}

export async function insertCaKey(tx: Tx, row: CaKeyRow): Promise<void> {
  await tx.run(`insert into ca_keys (id, key_type, spki, sealed_private, location) values ($1, $2, $3, $4, $5)`, [
    row.id,
    row.keyType,
    row.spki,
    row.sealedPrivate,
    row.location,
  ]);
}

export async function findCaKey(tx: Tx, id: string): Promise<CaKeyRow | undefined> {
  const [row] = await tx.rows<CaKeyRow>(
    `select id, key_type as "keyType", spki, sealed_private as "sealedPrivate", location from ca_keys where id = $1`,
    [id],
  );
  return row;
}

/** Keys made since then of which no CA came; whoever can ask for keys is held to a few. */
export async function countUnusedCaKeys(tx: Tx, since: Date): Promise<number> {
  const [row] = await tx.rows<{ n: number }>(
    `select count(*)::int as n from ca_keys k where created_at > $1 and not exists (select 1 from issuers where ca_key_id = k.id)`,
    [since],
  );
  return row!.n;
}
