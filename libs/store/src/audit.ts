import type { Tx } from './database.js';
import { hexOf } from './hex.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

export interface AuditRow {
  id: string;
  at: Date;
  actor: string;
  action: string;
  subject: string;
  outcome: 'success' | 'refused' | 'failed';
  requestId: string;
  /** The bytes that stand for this entry: RFC 8785 JSON of everything but the id. */
  canonical: Buffer;
}

/** An entry as it is written; the id comes from the database. */
export type NewAuditRow = Omit<AuditRow, 'id'> & { ownerOrgId: string | null; issuerOrgId: string | null };

/** In the order of the columns at, actor, action, subject, outcome, request_id, canonical, owner_org_id, issuer_org_id. */
function auditValues(row: NewAuditRow): (string | Date | Buffer | null)[] {
  const { at, actor, action, subject, outcome, requestId, canonical, ownerOrgId, issuerOrgId } = row;
  return [at, actor, action, subject, outcome, requestId, canonical, ownerOrgId, issuerOrgId];
}

export async function insertAudit(tx: Tx, row: NewAuditRow): Promise<void> {
  await tx.run(
    `insert into audit (at, actor, action, subject, outcome, request_id, canonical, owner_org_id, issuer_org_id)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    auditValues(row),
  );
}

/** The columns of an entry in a `jsonb_to_recordset`. */
export const AUDIT_RECORD = `at timestamptz, actor text, action text, audit_subject text, outcome text, request_id text,
  canonical bytea, audit_owner uuid, audit_issuer uuid`;

/** Writes the entries of the records in `source`. */
export const insertAuditsFrom = (source: string): string =>
  `insert into audit (at, actor, action, subject, outcome, request_id, canonical, owner_org_id, issuer_org_id)
     select at, actor, action, audit_subject, outcome, request_id, canonical, audit_owner, audit_issuer from ${source}`;

/** As `AUDIT_RECORD` names them. */
export const auditRecord = (row: NewAuditRow): Record<string, string | null> => ({
  at: row.at.toISOString(),
  actor: row.actor,
  action: row.action,
  audit_subject: row.subject,
  outcome: row.outcome,
  request_id: row.requestId,
  canonical: hexOf(row.canonical),
  audit_owner: row.ownerOrgId,
  audit_issuer: row.issuerOrgId,
});

/** Many at once, in their order. */
export async function insertAudits(tx: Tx, rows: readonly NewAuditRow[]): Promise<void> {
  await tx.run(insertAuditsFrom(`jsonb_to_recordset($1::jsonb) as r(${AUDIT_RECORD})`), [
    JSON.stringify(rows.map(auditRecord)),
  ]);
}

export interface AuditFilter {
  action?: string | undefined;
  subject?: string | undefined;
  actor?: string | undefined;
  outcome?: string | undefined;
  /** Not before. */
  from?: Date | undefined;
  /** Before. */
  to?: Date | undefined;
}

export async function listAudit(tx: Tx, page: PageRequest, filter: AuditFilter): Promise<Page<AuditRow>> {
  const [before] = page.cursor === undefined ? [null] : decodeCursor(page.cursor, ['number']);
  const rows = await tx.rows<AuditRow>(
    `select id::text as id, at, actor, action, subject, outcome, request_id as "requestId", canonical from audit
     where ($1::bigint is null or id < $1) and ($2::text is null or action = $2) and ($3::text is null or subject = $3)
       and ($4::text is null or actor = $4) and ($5::text is null or outcome = $5)
       and ($7::timestamptz is null or at >= $7) and ($8::timestamptz is null or at < $8)
     order by audit.id desc limit $6`,
    [
      before ?? null,
      filter.action ?? null,
      filter.subject ?? null,
      filter.actor ?? null,
      filter.outcome ?? null,
      page.limit + 1,
      filter.from ?? null,
      filter.to ?? null,
    ],
  );
  return toPage(rows, page.limit, (row) => [row.id]);
}
