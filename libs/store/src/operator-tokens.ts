import type { Tx } from './database.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

/** `bootstrap`: of the first start; `machine`: a program's; `personal`: a person's, for the command line; `session`: a sign-in. */
export type TokenKind = 'bootstrap' | 'machine' | 'personal' | 'session';

/** Everything is fixed when the token is made and covered by the row's MAC; whether it is good says the status log. */
export interface OperatorTokenRow {
  id: string;
  organizationId: string;
  name: string;
  kind: TokenKind;
  /** Whom a personal token or session stands for. */
  personId: string | null;
  /** Who answers for a machine token: what it proposes, this person may not approve. */
  createdBy: string | null;
  /** At most these; a person's token also never has more than the person. Empty for bootstrap: all. */
  roles: string[];
  /** Of a token that was rotated: the one it follows. */
  predecessorId: string | null;
  sealedVerifier: Buffer;
  pepperVersion: number;
  expiresAt: Date | null;
  mac: Buffer;
}

/** As listed; never the verifier. */
export type ListedToken = Omit<OperatorTokenRow, 'sealedVerifier' | 'pepperVersion' | 'mac'> & {
  createdAt: Date;
  /** To the minute. */
  lastUsedAt: Date | null;
};

const LISTED = `id, organization_id as "organizationId", name, kind, person_id as "personId", created_by as "createdBy",
  roles, predecessor_id as "predecessorId", expires_at as "expiresAt"`;
const COLUMNS = `${LISTED}, sealed_verifier as "sealedVerifier", pepper_version as "pepperVersion", mac`;

export async function insertOperatorToken(tx: Tx, row: OperatorTokenRow): Promise<void> {
  await tx.run(
    `insert into operator_tokens (id, organization_id, name, kind, person_id, created_by, roles, predecessor_id,
       sealed_verifier, pepper_version, expires_at, mac)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      row.id,
      row.organizationId,
      row.name,
      row.kind,
      row.personId,
      row.createdBy,
      row.roles,
      row.predecessorId,
      row.sealedVerifier,
      row.pepperVersion,
      row.expiresAt,
      row.mac,
    ],
  );
}

export async function findOperatorTokens(tx: Tx, ids: readonly string[]): Promise<OperatorTokenRow[]> {
  return tx.rows<OperatorTokenRow>(`select ${COLUMNS} from operator_tokens where id = any($1)`, [ids]);
}

/** Ids of the tokens that the first start, or an operator on the host, made. */
export async function findBootstrapTokens(tx: Tx): Promise<string[]> {
  const rows = await tx.rows<{ id: string }>(`select id from operator_tokens where kind = 'bootstrap'`);
  return rows.map(({ id }) => id);
}

/** As the caller's scope sees it. */
export async function findListedToken(tx: Tx, id: string): Promise<ListedToken | undefined> {
  const [row] = await tx.rows<ListedToken>(
    `select ${LISTED}, created_at as "createdAt", last_used_at as "lastUsedAt" from operator_tokens where id = $1`,
    [id],
  );
  return row;
}

/** Newest first; sessions only where asked for. */
export async function listOperatorTokens(
  tx: Tx,
  page: PageRequest,
  filter: { kind?: TokenKind | undefined; personId?: string | undefined },
): Promise<Page<ListedToken>> {
  const [createdAt, id] =
    page.cursor === undefined ? [null, null] : decodeCursor(page.cursor, ['number', 'credential']);
  const rows = await tx.rows<ListedToken & { createdMicros: string }>(
    `select ${LISTED}, created_at as "createdAt", last_used_at as "lastUsedAt",
       (extract(epoch from created_at) * 1000000)::bigint::text as "createdMicros" from operator_tokens
     where ($1::bigint is null or (created_at, id) < (timestamptz 'epoch' + $1 * interval '1 microsecond', $2))
       and (case when $3::text is null then kind <> 'session' else kind = $3 end) and ($4::uuid is null or person_id = $4)
     order by created_at desc, id desc limit $5`,
    [createdAt ?? null, id ?? null, filter.kind ?? null, filter.personId ?? null, page.limit + 1],
  );
  return toPage(rows, page.limit, (row) => [row.createdMicros, row.id]);
}

/** Of a person, of every kind; whether they are good says the status log. */
export async function tokensOfPerson(tx: Tx, personId: string): Promise<string[]> {
  const rows = await tx.rows<{ id: string }>(`select id from operator_tokens where person_id = $1`, [personId]);
  return rows.map((row) => row.id);
}

/** The machine tokens that this person answers for. */
export async function machineTokensMadeBy(tx: Tx, personId: string): Promise<string[]> {
  const rows = await tx.rows<{ id: string }>(`select id from operator_tokens where created_by = $1`, [personId]);
  return rows.map((row) => row.id);
}

/** The token that follows this one. */
export async function findSuccessorToken(tx: Tx, id: string): Promise<string | undefined> {
  const [row] = await tx.rows<{ id: string }>(`select id from operator_tokens where predecessor_id = $1 limit 1`, [id]);
  return row?.id;
}

/** Locks the row: of two rotations at once the second sees what the first did. */
export async function lockOperatorToken(tx: Tx, id: string): Promise<ListedToken | undefined> {
  const [row] = await tx.rows<ListedToken>(
    `select ${LISTED}, created_at as "createdAt", last_used_at as "lastUsedAt" from operator_tokens where id = $1 for update`,
    [id],
  );
  return row;
}

/** Written at most once a minute and token, outside of what the token was used for. */
export async function noteTokensUsed(tx: Tx, used: ReadonlyMap<string, Date>): Promise<void> {
  await tx.run(
    `update operator_tokens t set last_used_at = u.at from unnest($1::text[], $2::timestamptz[]) as u(id, at)
     where t.id = u.id and (t.last_used_at is null or t.last_used_at < u.at)`,
    [[...used.keys()], [...used.values()].map((at) => at.toISOString())],
  );
}
