-- Least privilege per plane, and row-level security as the second wall behind the scoped store functions.
-- The roles themselves (tm_owner, tm_api, tm_est, tm_responder, tm_worker, tm_signer) are made before the migrations run.

revoke all on all tables in schema touchmark from public;
grant usage on schema touchmark to tm_api, tm_est, tm_responder, tm_worker, tm_signer;

-- api: management, introspection
grant select on organizations, apps, releases, device_groups, operator_tokens, devices, issuers, serials, certificates,
  enrollment_secrets, blocked_keys, keys, key_audiences, status_changes, status_counter, audit, artifacts, idempotency to tm_api;
grant insert on organizations, apps, releases, device_groups, operator_tokens, devices, serials, certificates,
  enrollment_secrets, blocked_keys, keys, key_audiences, status_changes, audit, outbox, idempotency to tm_api;
grant update (status, name) on device_groups to tm_api;
grant update (status, group_id, release_id, names) on devices to tm_api;
grant update (state) on enrollment_secrets to tm_api;
grant update (status, status_before, ends_at) on keys to tm_api;
grant update (seq, mac) on status_counter to tm_api;
grant update (state) on serials to tm_api;
grant update (der, superseded_by) on certificates to tm_api;
grant delete on idempotency to tm_api;

-- est: enrollment
grant select on organizations, apps, releases, device_groups, devices, issuers, serials, certificates,
  enrollment_secrets, blocked_keys, status_changes, status_counter, artifacts to tm_est;
grant select (id) on audit to tm_est;
grant insert on serials, certificates, audit to tm_est;
grant update (status) on devices to tm_est;
grant update (state, bound_serial, bound_request) on enrollment_secrets to tm_est;
grant update (state) on serials to tm_est;
grant update (der, superseded_by) on certificates to tm_est;

-- responder: reads status and artifacts, changes nothing
grant select on issuers, serials, status_changes, status_counter, artifacts, ocsp_answers to tm_responder;
grant select (serial, not_after, issuer_id, profile) on certificates to tm_responder;

-- worker: relays, publishes, expires, reconciles
grant select on organizations, apps, releases, device_groups, operator_tokens, devices, issuers, serials, certificates,
  enrollment_secrets, blocked_keys, keys, key_audiences, status_changes, status_counter, audit, outbox, idempotency,
  expirations, artifacts, crl_scopes, ocsp_answers to tm_worker;
grant insert on serials, certificates, status_changes, audit, outbox, expirations, artifacts, crl_scopes, ocsp_answers,
  blocked_keys to tm_worker;
grant update (seq, mac) on status_counter to tm_worker;
grant update (state) on serials to tm_worker;
grant update (der, superseded_by) on certificates to tm_worker;
grant update (status) on devices to tm_worker;
grant update (state, bound_serial, bound_request) on enrollment_secrets to tm_worker;
grant update (relayed_at, done_at) on outbox to tm_worker;
grant update on artifacts, ocsp_answers to tm_worker;
grant update (number) on crl_scopes to tm_worker;
grant update (sealed) on idempotency to tm_worker;
grant delete on outbox, idempotency, ocsp_answers to tm_worker;

-- signer: its keys, and what it may sign
grant select, insert on ca_keys to tm_signer;
grant select on issuers, serials, certificates to tm_signer;

revoke all on function ensure_partitions(timestamptz) from public;
grant execute on function ensure_partitions(timestamptz) to tm_worker;

-- Row-level security, forced on the owner too, who has a policy of his own: making the CA, migrating, partitions. app.org is set per transaction to the caller's organization; '' after its first use, never matched.
-- app.scope = 'authority' is the authority's own operators, who see every organization.
do $$
declare
  t text;
  plane text;
  mine constant text := $p$(current_setting('app.scope', true) = 'authority'
    or owner_org_id = nullif(current_setting('app.org', true), '')::uuid
    or issuer_org_id = nullif(current_setting('app.org', true), '')::uuid)$p$;
begin
  foreach t in array array['apps', 'releases', 'device_groups', 'devices', 'certificates', 'keys', 'audit'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I to tm_api using %s', t || '_api', t, mine);
    foreach plane in array array['tm_est', 'tm_responder', 'tm_worker', 'tm_signer', 'tm_owner'] loop
      execute format('create policy %I on %I to %I using (true) with check (true)', t || '_' || plane, t, plane);
    end loop;
  end loop;
end $$;
-- An audit entry about nobody's row (a failed sign-in) may be written by any caller and is read by the authority.
drop policy audit_api on audit;
create policy audit_api_read on audit for select to tm_api using (
  current_setting('app.scope', true) = 'authority'
  or owner_org_id = nullif(current_setting('app.org', true), '')::uuid
  or issuer_org_id = nullif(current_setting('app.org', true), '')::uuid);
create policy audit_api_append on audit for insert to tm_api with check (true);

alter table organizations enable row level security;
alter table organizations force row level security;
create policy organizations_api_read on organizations for select to tm_api using (
  current_setting('app.scope', true) = 'authority' or id = nullif(current_setting('app.org', true), '')::uuid or kind = 'provider');
create policy organizations_api_make on organizations for insert to tm_api with check (
  current_setting('app.scope', true) = 'authority' and kind <> 'authority');
create policy organizations_planes on organizations to tm_est, tm_worker, tm_owner using (true) with check (true);
