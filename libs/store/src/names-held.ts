/**
 * SQL that is true when everything in `holders`, an array of ids of domains and users, stands by the log. Read with the
 * device locked, as the following of a disabled name reads it: of the two, the later one sees what the earlier one did.
 */
export const namesHeld = (holders: string): string => `not exists (
         select 1 from unnest(${holders}) as h(id) where coalesce(
           (select status from status_changes where kind = 'domain' and subject = h.id::text order by seq desc limit 1),
           (select status from status_changes where kind = 'user' and subject = h.id::text order by seq desc limit 1),
           '') not in ('verified', 'active'))`;
