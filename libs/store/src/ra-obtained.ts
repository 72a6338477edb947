import { CERTIFICATE_COLUMNS, CERTIFICATE_FROM, type CertificateRow } from './certificates.js';
import type { Tx } from './database.js';

/** What a registration authority, by its device id, obtained for others from `since` on; until `until` where given. */
export interface ObtainedByRa {
  raId: string;
  since: Date;
  until: Date | null;
}

const BY_RA = `c.requester like 'ra:%' and split_part(c.requester, ':', 2) = $1`;

/** One of a whole factory obtained millions; what is counted while somebody waits has an end. */
export const MOST_OBTAINED_COUNTED = 100_000;

/** Certificates that are not past their end, and how many of them are revoked: of the newest `most`. */
export async function countObtained(
  tx: Tx,
  { raId, since, until }: ObtainedByRa,
  at: Date,
  most = MOST_OBTAINED_COUNTED,
): Promise<{ certificates: number; revoked: number }> {
  const [row] = await tx.rows<{ certificates: number; revoked: number }>(
    `select count(*)::int as certificates, count(*) filter (where coalesce((
       select l.status from status_changes l where l.kind = 'certificate' and l.subject = encode(o.serial, 'hex')
       order by l.seq desc limit 1), '') = 'revoked')::int as revoked
     from (select c.serial ${CERTIFICATE_FROM}
       where ${BY_RA} and c.created_at >= $2 and ($3::timestamptz is null or c.created_at <= $3) and c.not_after > $4
         and s.state <> 'abandoned'
       order by c.created_at desc, c.serial desc limit $5) o`,
    [raId, since, until, at, most],
  );
  return row!;
}

/** The next `limit` by age and serial, also those past their end, by which others may have been obtained; each locked as by `lockCertificate`. */
export async function lockObtained(
  tx: Tx,
  { raId, since, until }: ObtainedByRa,
  after: Pick<CertificateRow, 'serial' | 'notAfter'> | undefined,
  limit: number,
): Promise<CertificateRow[]> {
  // A time of the driver has no microseconds: the one to go on after is looked up again.
  return tx.rows<CertificateRow>(
    `select ${CERTIFICATE_COLUMNS} ${CERTIFICATE_FROM}
     where ${BY_RA} and c.created_at >= $2 and ($3::timestamptz is null or c.created_at <= $3)
       and ($4::bytea is null or (c.created_at, c.serial) > (
         (select p.created_at from certificates p where p.serial = $4 and p.not_after = $5), $4))
     order by c.created_at, c.serial limit $6 for no key update of s`,
    [raId, since, until, after?.serial ?? null, after?.notAfter ?? null, limit],
  );
}
