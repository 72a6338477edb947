import type { Tx } from './database.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

/** A person of one organization. Fixed when made and covered by the row's MAC; roles and standing are in the status log. */
export interface PersonRow {
  id: string;
  organizationId: string;
  name: string;
  email: string | null;
  /** Who the person is at an OpenID Connect issuer; both or neither. */
  oidcIssuer: string | null;
  oidcSubject: string | null;
  mac: Buffer;
}

export type ListedPerson = Omit<PersonRow, 'mac'> & { createdAt: Date };

const LISTED = `id, organization_id as "organizationId", name, email, oidc_issuer as "oidcIssuer", oidc_subject as "oidcSubject",
  created_at as "createdAt"`;

export async function insertPerson(tx: Tx, row: PersonRow): Promise<void> {
  await tx.run(
    `insert into people (id, organization_id, name, email, oidc_issuer, oidc_subject, mac) values ($1, $2, $3, $4, $5, $6, $7)`,
    [row.id, row.organizationId, row.name, row.email, row.oidcIssuer, row.oidcSubject, row.mac],
  );
}

/** People by id, for the in-memory index. */
export async function findPeople(tx: Tx, ids: readonly string[]): Promise<PersonRow[]> {
  return tx.rows<PersonRow>(`select ${LISTED}, mac from people where id = any($1::uuid[])`, [ids]);
}

export async function findPerson(tx: Tx, id: string): Promise<ListedPerson | undefined> {
  const [row] = await tx.rows<ListedPerson>(`select ${LISTED} from people where id = $1`, [id]);
  return row;
}

export async function findPersonBySubject(tx: Tx, issuer: string, subject: string): Promise<ListedPerson | undefined> {
  const [row] = await tx.rows<ListedPerson>(
    `select ${LISTED} from people where oidc_issuer = $1 and oidc_subject = $2`,
    [issuer, subject],
  );
  return row;
}

/** Newest first. */
export async function listPeople(tx: Tx, page: PageRequest): Promise<Page<ListedPerson>> {
  const [before] = page.cursor === undefined ? [null] : decodeCursor(page.cursor, ['uuid']);
  const rows = await tx.rows<ListedPerson>(
    `select ${LISTED} from people where ($1::uuid is null or id < $1::uuid) order by id desc limit $2`,
    [before ?? null, page.limit + 1],
  );
  return toPage(rows, page.limit, (row) => [row.id]);
}
