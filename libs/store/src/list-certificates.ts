import { CERTIFICATE_COLUMNS, CERTIFICATE_FROM, type CertificateRow } from './certificates.js';
import type { Tx } from './database.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

export interface CertificateFilter {
  deviceId?: string | undefined;
  /** Obtained for others by this registration authority, by its device id. */
  raId?: string | undefined;
  profile?: string | undefined;
  expiresBefore?: Date | undefined;
  /** Part of a name or subject, or the start of a serial. */
  q?: string | undefined;
  status?: 'issuing' | 'active' | 'onHold' | 'revoked' | 'expired' | undefined;
}

/** With the status that the log gives each: the newest row of status_changes about it. */
export type ListedCertificate = CertificateRow & { logStatus: string | null; logReason: string | null };

export async function listCertificates(
  tx: Tx,
  page: PageRequest,
  filter: CertificateFilter,
  at: Date,
): Promise<Page<ListedCertificate>> {
  const [createdAt, serial] =
    page.cursor === undefined ? [null, null] : decodeCursor(page.cursor, ['number', 'serial']);
  const rows = await tx.rows<ListedCertificate & { createdMicros: string }>(
    `select ${CERTIFICATE_COLUMNS}, l.status as "logStatus", l.reason as "logReason", (extract(epoch from c.created_at) * 1000000)::bigint::text as "createdMicros"
     ${CERTIFICATE_FROM}
     left join lateral (
       select status, reason from status_changes
       where kind = 'certificate' and subject = encode(c.serial, 'hex') order by seq desc limit 1
     ) l on true
     where ($1::bigint is null
            or (c.created_at, c.serial) < (timestamptz 'epoch' + $1 * interval '1 microsecond', decode($2, 'hex')))
       and ($3::uuid is null or c.device_id = $3) and ($4::text is null or c.profile = $4)
       and ($5::timestamptz is null or c.not_after < $5)
       and ($6::text is null or c.subject ilike $7 or encode(c.serial, 'hex') like $8
            or exists (select 1 from unnest(c.names) n where n ilike $7))
       and ($9::text is null or $9 = case
            when s.state = 'abandoned' or l.status = 'revoked' then 'revoked'
            when s.state = 'issuing' then 'issuing'
            when l.status = 'onHold' then 'onHold'
            when c.not_after <= $10 then 'expired' else 'active' end)
       and ($12::text is null or (c.requester like 'ra:%' and split_part(c.requester, ':', 2) = $12))
     order by c.created_at desc, c.serial desc limit $11`,
    [
      createdAt ?? null,
      serial ?? null,
      filter.deviceId ?? null,
      filter.profile ?? null,
      filter.expiresBefore ?? null,
      filter.q ?? null,
      `%${(filter.q ?? '').replace(/[\\%_]/g, '\\$&')}%`,
      `${(filter.q ?? '').toLowerCase().replace(/[^0-9a-f]/g, 'x')}%`,
      filter.status ?? null,
      at,
      page.limit + 1,
      filter.raId ?? null,
    ],
  );
  return toPage(rows, page.limit, (row) => [row.createdMicros, row.serial.toString('hex')]);
}
