-- Partitions are made ahead of need: by every start and daily by the worker. The default partitions only catch what
-- nobody foresaw; housekeeping reports rows found there.

create function ensure_partitions(now_at timestamptz) returns integer
language plpgsql security definer set search_path = touchmark, pg_temp as $$
declare
  made integer := 0;
  month timestamptz;
  block bigint;
  name text;
  step constant bigint := 10000000;
begin
  if now_at > now() + interval '400 days' then
    raise exception 'partitions are made for the time ahead, not for %', now_at;
  end if;
  for i in 0..6 loop
    month := date_trunc('month', now_at, 'UTC') + make_interval(months => i);
    name := 'certificates_' || to_char(month at time zone 'UTC', 'YYYY_MM');
    if to_regclass(name) is null then
      execute format('create table %I partition of certificates for values from (%L) to (%L)',
        name, month, month + interval '1 month');
      made := made + 1;
    end if;
  end loop;
  block := (select seq from status_counter) / step;
  for i in 0..1 loop
    name := 'status_changes_' || lpad((block + i)::text, 6, '0');
    if to_regclass(name) is null then
      execute format('create table %I partition of status_changes for values from (%s) to (%s)',
        name, (block + i) * step, (block + i + 1) * step);
      execute format('create trigger status_no_truncate before truncate on %I for each statement execute function refuse_rewrite()', name);
      made := made + 1;
    end if;
  end loop;
  block := coalesce((select max(id) from audit), 0) / step;
  for i in 0..1 loop
    name := 'audit_' || lpad((block + i)::text, 6, '0');
    if to_regclass(name) is null then
      execute format('create table %I partition of audit for values from (%s) to (%s)',
        name, (block + i) * step, (block + i + 1) * step);
      execute format('create trigger audit_no_truncate before truncate on %I for each statement execute function refuse_rewrite()', name);
      made := made + 1;
    end if;
  end loop;
  return made;
end $$;
