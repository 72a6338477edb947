do $$
declare
  p record;
begin
  for p in select policyname, tablename from pg_policies where schemaname = 'touchmark' loop
    execute format('drop policy %I on %I', p.policyname, p.tablename);
    execute format('alter table %I no force row level security', p.tablename);
    execute format('alter table %I disable row level security', p.tablename);
  end loop;
end $$;
revoke all on all tables in schema touchmark from tm_api, tm_est, tm_responder, tm_worker, tm_signer;
revoke all on function ensure_partitions(timestamptz) from tm_worker;
revoke usage on schema touchmark from tm_api, tm_est, tm_responder, tm_worker, tm_signer;
