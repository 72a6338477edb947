import Cursor from 'pg-cursor';
import type { Tx } from './database.js';

export interface RevokedRow {
  serial: Buffer;
  revokedAt: Date;
  reason: string | null;
  invalidityDate: Date | null;
}

const BATCH = 5000;

/**
 * Streams what a CRL of the issuer lists, in the order of the serials: the newest row of status_changes about each serial
 * where it says revoked or onHold. A certificate that ended is listed once more after its end: it leaves when its notAfter
 * lies before `endedBefore`, the thisUpdate of the last scheduled CRL (RFC 5280 section 3.3).
 * Must run in a snapshot on the primary.
 */
export async function* streamRevoked(
  tx: Tx,
  scope: { issuerId: string; shard: number | null; endedBefore: Date },
): AsyncGenerator<RevokedRow[]> {
  const client = tx.client();
  const cursor = client.query(
    new Cursor<RevokedRow>(
      `select decode(subject, 'hex') as serial, at as "revokedAt", reason, invalidity_date as "invalidityDate" from (
         select distinct on (subject) subject, status, at, reason, invalidity_date
         from status_changes
         where kind = 'certificate' and issuer_id = $1 and ($2::smallint is null or shard = $2) and not_after >= $3
         order by subject, seq desc
       ) latest where status in ('revoked', 'onHold')`,
      [scope.issuerId, scope.shard, scope.endedBefore],
    ),
  );
  try {
    for (;;) {
      const rows = await cursor.read(BATCH);
      if (rows.length === 0) return;
      yield rows;
    }
  } finally {
    await cursor.close();
  }
}

/** Of the certificate whose end was recorded last; a day before it, all that ended has been recorded. */
const RECORDED_UP_TO = `coalesce((select s.not_after - interval '1 day' from expirations e join serials s on s.serial = decode(e.subject, 'hex')
  where e.kind = 'certificate' order by e.at desc limit 1), '-infinity')`;

/** Keys and certificates whose end has passed and was not yet recorded; certificates in the order in which they ended. */
export async function findEnded(
  tx: Tx,
  limit: number,
): Promise<{ kind: 'key' | 'certificate'; subject: string; ownerOrgId: string | null; issuerOrgId: string }[]> {
  return tx.rows(
    `(select 'key' as kind, k.id as subject, k.owner_org_id as "ownerOrgId", k.issuer_org_id as "issuerOrgId" from keys k
      where least(k.expires_at, coalesce(k.ends_at, k.expires_at)) <= now() and k.status <> 'revoked'
        and not exists (select 1 from expirations e where e.kind = 'key' and e.subject = k.id) limit $1)
     union all
     (select 'certificate', encode(c.serial, 'hex'), c.owner_org_id, c.issuer_org_id from certificates c
      where c.not_after <= now() and c.not_after > ${RECORDED_UP_TO} and c.der is not null
        and not exists (select 1 from expirations e where e.kind = 'certificate' and e.subject = encode(c.serial, 'hex'))
      order by c.not_after limit $1)`,
    [limit],
  );
}

/** True for the one caller that recorded it first. */
export async function recordEnded(tx: Tx, kind: 'key' | 'certificate', subject: string): Promise<boolean> {
  const sql = `insert into expirations (kind, subject) values ($1, $2) on conflict do nothing`;
  return (await tx.run(sql, [kind, subject])) === 1;
}
