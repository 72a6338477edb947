import type { Tx } from './database.js';

/** What is counted, per minute and organization. */
export type QuotaName = 'requests' | 'issuance';

/** An organization's own quotas; null: those of the instance. */
export interface QuotasRow {
  requestsPerMinute: number | null;
  issuancePerMinute: number | null;
}

export interface QuotaLease {
  /** Start of the database's minute; what is given back is given back to it. */
  window: string;
  /** Seconds from the beginning of the statement to the end of that minute. */
  secondsLeft: number;
  /** 0: the limit is reached. */
  granted: number;
}

/** What one lease takes of what is left: small enough that what idle processes hold is no loss, large enough to be rare. */
const SHARE = 512;

/**
 * Takes permits of this minute and gives `unused` ones of `window` back, in one statement: as many as `wanted`, or a share
 * of what is left, and never more than is left. The row's lock makes it exact over all processes.
 */
export async function leaseQuota(
  tx: Tx,
  lease: {
    organizationId: string;
    name: QuotaName;
    defaultLimit: number;
    wanted: number;
    unused: number;
    window: string | null;
  },
): Promise<QuotaLease> {
  const [row] = await tx.rows<QuotaLease>(
    `with asked as materialized (
       select date_trunc('minute', now()) as start,
         case when $6::timestamptz = date_trunc('minute', now()) then $5::bigint else 0 end as unused,
         coalesce((select case $2 when 'requests' then requests_per_minute else issuance_per_minute end
                   from quotas where organization_id = $1), $3::bigint) as most
     ), leased as (
       insert into quota_windows as w (organization_id, name, window_start, used)
       select $1, $2, start, least(most, greatest($4, most / ${SHARE})) from asked
       on conflict (organization_id, name, window_start) do update
         set used = (select kept + least(most - kept, greatest($4, (most - kept) / ${SHARE}))
                     from asked, lateral (select greatest(w.used - unused, 0) as kept))
         where (select greatest(w.used - unused, 0) < most from asked)
       returning new.used - coalesce((select greatest(old.used - unused, 0) from asked), 0) as granted
     )
     select to_char(start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') as window,
       extract(epoch from start + interval '1 minute' - now())::float8 as "secondsLeft",
       coalesce((select granted from leased), 0)::int as granted
     from asked`,
    [lease.organizationId, lease.name, lease.defaultLimit, lease.wanted, lease.unused, lease.window],
  );
  return row!;
}

/** True for the first process that says so in the minute: who writes the entry about it. */
export async function claimQuotaReport(tx: Tx, organizationId: string, name: QuotaName): Promise<boolean> {
  const made = await tx.run(
    `insert into quota_windows (organization_id, name, window_start, used)
     values ($1, $2, date_trunc('minute', now()), 0) on conflict do nothing`,
    [organizationId, `${name} refused`],
  );
  return made === 1;
}

export async function findQuotas(tx: Tx, organizationId: string): Promise<QuotasRow> {
  const [row] = await tx.rows<QuotasRow>(
    `select requests_per_minute as "requestsPerMinute", issuance_per_minute as "issuancePerMinute"
     from quotas where organization_id = $1`,
    [organizationId],
  );
  return row ?? { requestsPerMinute: null, issuancePerMinute: null };
}

export async function putQuotas(tx: Tx, organizationId: string, row: QuotasRow): Promise<void> {
  await tx.run(
    `insert into quotas (organization_id, requests_per_minute, issuance_per_minute) values ($1, $2, $3)
     on conflict (organization_id) do update set requests_per_minute = $2, issuance_per_minute = $3, updated_at = now()`,
    [organizationId, row.requestsPerMinute, row.issuancePerMinute],
  );
}

/** Windows of limits that ended more than an hour ago go. Returns how many rows went. */
export async function purgeLimits(tx: Tx): Promise<number> {
  const windows = await tx.run(`delete from quota_windows where window_start < now() - interval '1 hour'`);
  return windows + (await tx.run(`delete from failed_attempts where window_start < now() - interval '1 hour'`));
}
