import { AuthorityError } from '#kernel';
import type { Tx } from './database.js';
import { brokenUnique } from './failure.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

/** An organization's claim of a domain. Whether it counts, and by what proof, says the status log (kind `domain`). */
export interface DomainRow {
  id: string;
  /** Lower case, A-labels. */
  name: string;
  organizationId: string;
  /** Under secrets/status.mac: id, name, organization. */
  mac: Buffer;
  createdAt: Date;
}

const COLUMNS = `id, name, organization_id as "organizationId", mac, created_at as "createdAt"`;

/** `undefined` when the organization has claimed it before. */
export async function insertDomain(tx: Tx, row: Omit<DomainRow, 'createdAt'>): Promise<DomainRow | undefined> {
  const [made] = await tx.rows<DomainRow>(
    `insert into domains (id, name, organization_id, mac) values ($1, $2, $3, $4)
     on conflict (organization_id, name) do nothing returning ${COLUMNS}`,
    [row.id, row.name, row.organizationId, row.mac],
  );
  return made;
}

export async function findDomain(tx: Tx, id: string): Promise<DomainRow | undefined> {
  const [row] = await tx.rows<DomainRow>(`select ${COLUMNS} from domains where id = $1`, [id]);
  return row;
}

/** Locked until the transaction ends: its changes follow each other. */
export async function lockDomain(tx: Tx, id: string): Promise<DomainRow | undefined> {
  const [row] = await tx.rows<DomainRow>(`select ${COLUMNS} from domains where id = $1 for no key update`, [id]);
  return row;
}

export async function listDomains(tx: Tx, page: PageRequest): Promise<Page<DomainRow>> {
  const [before] = page.cursor === undefined ? [null] : decodeCursor(page.cursor, ['uuid']);
  const rows = await tx.rows<DomainRow>(
    `select ${COLUMNS} from domains where ($1::uuid is null or id < $1) order by id desc limit $2`,
    [before ?? null, page.limit + 1],
  );
  return toPage(rows, page.limit, (row) => [row.id]);
}

/** Every claim of one of these names, whoever made it. */
export async function findDomainClaims(tx: Tx, names: readonly string[]): Promise<DomainRow[]> {
  return tx.rows<DomainRow>(`select ${COLUMNS} from domains where name = any($1::text[])`, [names]);
}

/** Proved just now: held from here on. Throws `conflict` (code `domainTaken`) while another organization holds the name. */
export async function holdDomain(tx: Tx, id: string, at: Date): Promise<void> {
  try {
    await tx.run(`update domains set held = true, checked_at = $2, failures = 0 where id = $1`, [id, at]);
  } catch (error) {
    if (brokenUnique(error) === undefined) throw error;
    throw new AuthorityError('conflict', 'the domain was taken just now', { code: 'domainTaken', cause: error });
  }
}

/** Free for whoever proves it next. */
export async function releaseDomain(tx: Tx, id: string): Promise<void> {
  await tx.run(`update domains set held = false where id = $1`, [id]);
}

/** Held ones that were not looked at since `before`, the longest first. */
export async function findDueDomains(tx: Tx, before: Date, limit: number): Promise<DomainRow[]> {
  return tx.rows<DomainRow>(
    `select ${COLUMNS} from domains where held and (checked_at is null or checked_at < $1)
     order by checked_at nulls first limit $2`,
    [before, limit],
  );
}

/** A look that found no proof; returns how many such there were in a row. */
export async function noteMissingProof(tx: Tx, id: string, at: Date): Promise<number> {
  const [row] = await tx.rows<{ failures: number }>(
    `update domains set failures = failures + 1, checked_at = $2 where id = $1 returning failures`,
    [id, at],
  );
  return row?.failures ?? 0;
}
