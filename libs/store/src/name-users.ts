import type { NameType } from '#policy';
import type { Tx } from './database.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

/** Somebody with an address in a domain that an organization holds. Whether he is active says the status log (kind `user`). */
export interface NameUserRow {
  id: string;
  /** `user@domain`, canonical. */
  address: string;
  /** What names the address may be: `sip-user`, `im`, ... */
  types: NameType[];
  domainId: string;
  organizationId: string;
  /** Under secrets/status.mac: all of the above. */
  mac: Buffer;
  createdAt: Date;
}

const COLUMNS = `id, address, types, domain_id as "domainId", organization_id as "organizationId", mac, created_at as "createdAt"`;

/** `undefined` when the domain has that user. */
export async function insertNameUser(tx: Tx, row: Omit<NameUserRow, 'createdAt'>): Promise<NameUserRow | undefined> {
  const [made] = await tx.rows<NameUserRow>(
    `insert into name_users (id, address, types, domain_id, organization_id, mac) values ($1, $2, $3, $4, $5, $6)
     on conflict (domain_id, address) do nothing returning ${COLUMNS}`,
    [row.id, row.address, row.types, row.domainId, row.organizationId, row.mac],
  );
  return made;
}

export async function findNameUser(tx: Tx, id: string): Promise<NameUserRow | undefined> {
  const [row] = await tx.rows<NameUserRow>(`select ${COLUMNS} from name_users where id = $1`, [id]);
  return row;
}

export async function listNameUsers(
  tx: Tx,
  page: PageRequest,
  filter: { domainId?: string | undefined; address?: string | undefined },
): Promise<Page<NameUserRow>> {
  const [before] = page.cursor === undefined ? [null] : decodeCursor(page.cursor, ['uuid']);
  const rows = await tx.rows<NameUserRow>(
    `select ${COLUMNS} from name_users
     where ($1::uuid is null or id < $1) and ($2::uuid is null or domain_id = $2) and ($3::text is null or address = $3)
     order by id desc limit $4`,
    [before ?? null, filter.domainId ?? null, filter.address ?? null, page.limit + 1],
  );
  return toPage(rows, page.limit, (row) => [row.id]);
}

/** Everybody who has one of these addresses, in whichever claim of its domain. */
export async function findUsersByAddress(tx: Tx, addresses: readonly string[]): Promise<NameUserRow[]> {
  return tx.rows<NameUserRow>(`select ${COLUMNS} from name_users where address = any($1::text[])`, [addresses]);
}
