import type { Tx } from './database.js';

export type WarnedKind = 'key' | 'certificate' | 'issuer' | 'ocspDelegate';

/** Something that ends within 60 days, and the tightest of the steps that it has reached. */
export interface Ending {
  kind: WarnedKind;
  /** What the warning is written down under; with the version, where the next of the same name has its own. */
  subject: string;
  /** Key id, serial in hex or issuer id. */
  id: string;
  endsAt: Date;
  days: number;
  profile: string | null;
  deviceId: string | null;
  ownerOrgId: string | null;
  /** null: the authority itself. */
  issuerOrgId: string | null;
}

interface Scan {
  at: Date;
  /** Where the block before ended; undefined for the first. */
  after: Ending | undefined;
  limit: number;
}

/**
 * The tightest step reached, and whether it counts: what lives shorter than the first step is warned of below half of its
 * life only, and what renews itself only after it should have.
 */
const DAY = `interval '1 day'`;
const STEP = `(select min(s) from unnest(array[1, 7, 14, 30, 60]) s where e.ends_at <= $1::timestamptz + s * ${DAY})`;
const COUNTS = `(e.life >= 60 * ${DAY} or e.days * ${DAY} < e.life / 2) and e.days * ${DAY} < e.renews`;
const UNWARNED = `not exists (select 1 from expiry_warnings w
  where w.kind = e.kind and w.subject = e.subject and w.days = e.days)`;

function endings(source: string): string {
  return `select e.kind, e.subject, e.id, e.ends_at as "endsAt", e.days, e.profile, e.device_id as "deviceId",
      e.owner_org_id as "ownerOrgId", e.issuer_org_id as "issuerOrgId"
    from (select e.*, ${STEP} as days from (${source}) e) e
    where ${COUNTS} and ${UNWARNED} order by e.ends_at, e.subject limit $4`;
}

/** $2 and $3 are where the block before ended. */
const AHEAD = (end: string) => `${end} > $1 and ${end} <= $1::timestamptz + 60 * ${DAY}`;
const NEXT = (end: string, subject: string) =>
  `($2::timestamptz is null or ${end} > $2 or (${end} = $2 and ${subject} > $3))`;

const ENDING = {
  certificates: endings(
    `select 'certificate' as kind, encode(c.serial, 'hex') as subject, encode(c.serial, 'hex') as id, c.not_after as ends_at,
       c.not_after - c.not_before as life,
       case c.profile when 'tls-server' then make_interval(secs => $5) else interval '1000 years' end as renews,
       c.profile, c.device_id, c.owner_org_id, c.issuer_org_id
     from certificates c
     where ${AHEAD('c.not_after')} and ${NEXT('c.not_after', `encode(c.serial, 'hex')`)}
       and c.der is not null and c.superseded_by is null
       and (c.profile = 'device' or c.profile = 'tls-server' and not exists (
         select 1 from certificates n where n.spki_sha256 = c.spki_sha256 and n.not_after > c.not_after and n.der is not null))`,
  ),
  keys: endings(
    `select 'key' as kind, k.id as subject, k.id, k.expires_at as ends_at, k.expires_at - k.created_at as life,
       make_interval(secs => $5) as renews, null as profile, null::uuid as device_id, k.owner_org_id, k.issuer_org_id
     from keys k
     where ${AHEAD('k.expires_at')} and ${NEXT('k.expires_at', 'k.id')} and k.status in ('active', 'suspended')`,
  ),
  issuers: endings(
    `select 'issuer' as kind, i.id::text as subject, i.id::text, i.not_after as ends_at, i.not_after - i.created_at as life,
       make_interval(secs => $5) as renews, null as profile, null::uuid as device_id, null::uuid as owner_org_id,
       null::uuid as issuer_org_id
     from issuers i where ${AHEAD('i.not_after')} and ${NEXT('i.not_after', 'i.id::text')} and i.certificate is not null`,
  ),
  ocspDelegates: endings(
    `select 'ocspDelegate' as kind, i.id::text || '#' || r.number as subject, i.id::text, r.next_update as ends_at,
       r.next_update - r.this_update as life, make_interval(secs => $5) as renews, null as profile, null::uuid as device_id,
       null::uuid as owner_org_id, null::uuid as issuer_org_id
     from artifacts r join issuers i on r.name = 'ocsp-delegate/' || i.id
     where ${AHEAD('r.next_update')} and ${NEXT('r.next_update', `i.id::text || '#' || r.number`)}`,
  ),
} as const;

/** `renews`: seconds before its end from which on it should have been renewed by itself; huge where it never is. */
export async function findEnding(
  tx: Tx,
  what: keyof typeof ENDING,
  scan: Scan & { renews: number },
): Promise<Ending[]> {
  const { at, after, limit, renews } = scan;
  return tx.rows<Ending>(ENDING[what], [at, after?.endsAt ?? null, after?.subject ?? null, limit, renews]);
}

/** Device certificates past two thirds of their life without a successor, not yet told of; `days` is 0. */
export async function findOverdueRenewals(tx: Tx, { at, after, limit }: Scan): Promise<Ending[]> {
  return tx.rows<Ending>(
    `select 'certificate' as kind, encode(c.serial, 'hex') as subject, encode(c.serial, 'hex') as id,
       c.not_after as "endsAt", 0 as days, c.profile, c.device_id as "deviceId", c.owner_org_id as "ownerOrgId",
       c.issuer_org_id as "issuerOrgId"
     from certificates c
     where c.not_after > $1 and ${NEXT('c.not_after', `encode(c.serial, 'hex')`)}
       and c.not_before + (c.not_after - c.not_before) * 2 / 3 <= $1
       and c.profile = 'device' and c.der is not null and c.superseded_by is null
       and not exists (select 1 from expiry_warnings w
         where w.kind = 'certificate' and w.subject = encode(c.serial, 'hex') and w.days = 0)
     order by c.not_after, encode(c.serial, 'hex') limit $4`,
    [at, after?.endsAt ?? null, after?.subject ?? null, limit],
  );
}

/** True for the one caller that recorded it first. */
export async function recordWarning(
  tx: Tx,
  warning: Pick<Ending, 'kind' | 'subject' | 'days'>,
  at: Date,
): Promise<boolean> {
  const sql = `insert into expiry_warnings (kind, subject, days, at) values ($1, $2, $3, $4) on conflict do nothing`;
  return (await tx.run(sql, [warning.kind, warning.subject, warning.days, at])) === 1;
}
