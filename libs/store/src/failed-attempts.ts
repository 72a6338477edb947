import type { Tx } from './database.js';

/** Failures of one name since they were last counted here. */
export interface CountedFailures {
  /** A hash: an address or the id of a secret is not written down. */
  name: string;
  failures: number;
  /** At this count every process is told. */
  limit: number;
}

/**
 * Adds failures to this minute of all processes together; the totals, in one statement. A name that reaches its limit is
 * told on `touchmark_limits` once.
 */
export async function countFailures(
  tx: Tx,
  counted: readonly CountedFailures[],
): Promise<{ name: string; total: number }[]> {
  // Always in the same order, so that two processes do not wait for each other.
  const sorted = [...counted].sort((a, b) => (a.name < b.name ? -1 : 1));
  return tx.rows<{ name: string; total: number }>(
    `with given as (
       select * from unnest($1::text[], $2::int[], $3::int[]) as g (name, failures, most)
     ), added as (
       insert into failed_attempts as f (name, window_start, count)
       select name, date_trunc('minute', now()), failures from given
       on conflict (name, window_start) do update set count = f.count + excluded.count
       returning name, count
     )
     select a.name, a.count as total,
       case when a.count >= g.most and a.count - g.failures < g.most then pg_notify('touchmark_limits', a.name) end as told
     from added a join given g on g.name = a.name`,
    [
      sorted.map(({ name }) => name),
      sorted.map(({ failures }) => String(failures)),
      sorted.map(({ limit }) => String(limit)),
    ],
  );
}
