import type { Tx } from './database.js';

/** What a running process holds of a key: numbers of versions, never the key. */
export interface HeldVersions {
  secret: string;
  /** All that it opens with. */
  versions: readonly number[];
  /** The one that it seals under. */
  inUse: number;
}

export interface SecretReader extends HeldVersions {
  process: string;
  role: string;
  host: string;
  pid: number;
  seenAt: Date;
}

/** A process of the same role that said nothing for so long has ended, and its rows go. */
const FORGOTTEN = `interval '1 day'`;

/** What this process holds, and that it runs. */
export async function reportSecretReader(
  tx: Tx,
  reader: Pick<SecretReader, 'process' | 'host' | 'pid'>,
  held: readonly HeldVersions[],
): Promise<void> {
  await tx.run(
    `with gone as (delete from secret_readers where seen_at < now() - ${FORGOTTEN} or seen_at > now() + ${FORGOTTEN})
     insert into secret_readers (process, secret, host, pid, versions, in_use)
     select $1::uuid, h.secret, $2, $3::integer, h.versions, h."inUse"
     from jsonb_to_recordset($4::jsonb) as h(secret text, versions integer[], "inUse" integer)
     on conflict (process, secret) do update set versions = excluded.versions, in_use = excluded.in_use, seen_at = now()`,
    [reader.process, reader.host, reader.pid, JSON.stringify(held)],
  );
}

export async function forgetSecretReader(tx: Tx, process: string): Promise<void> {
  await tx.run(`delete from secret_readers where process = $1::uuid`, [process]);
}

/** The processes that have the key and were heard of in the last `seconds`. No process says a time to come: such a row stops nothing. */
export async function listSecretReaders(tx: Tx, secret: string, seconds: number): Promise<SecretReader[]> {
  return tx.rows<SecretReader>(
    `select process, secret, role, host, pid, versions, in_use as "inUse", seen_at as "seenAt" from secret_readers
     where secret = $1 and seen_at > now() - make_interval(secs => $2) and seen_at <= now() order by host, pid, process`,
    [secret, seconds],
  );
}
