-- Least privilege for what the last migrations made, and row-level security for every table that somebody owns.
-- status_changes and serials have none on purpose (ADR 7): a row hidden from a decision would count as "never revoked".

alter table key_audiences add column owner_org_id uuid, add column issuer_org_id uuid;
update key_audiences a set owner_org_id = k.owner_org_id, issuer_org_id = k.issuer_org_id from keys k where k.id = a.key_id;
alter table key_audiences alter column owner_org_id set not null, alter column issuer_org_id set not null;

alter table enrollment_secrets add column owner_org_id uuid, add column issuer_org_id uuid;
alter table enrollment_secrets disable trigger enrollment_secrets_state;
update enrollment_secrets s set owner_org_id = d.owner_org_id, issuer_org_id = d.issuer_org_id from devices d where d.id = s.device_id;
alter table enrollment_secrets enable trigger enrollment_secrets_state;
alter table enrollment_secrets alter column owner_org_id set not null, alter column issuer_org_id set not null;

alter table idempotency add column organization_id uuid;
delete from idempotency where organization_id is null;
alter table idempotency alter column organization_id set not null;

create function issuers_write_once() returns trigger language plpgsql as $$
begin
  if old.certificate is not null and new.certificate is distinct from old.certificate then
    raise exception 'issuer %: its certificate is written once', old.id;
  end if;
  return new;
end $$;
create trigger issuers_once before update on issuers for each row execute function issuers_write_once();

-- api: management, sign-in, approvals
grant select, insert on people, invitations, passkeys, sign_in_attempts, approvals, profile_versions, webhooks,
  mail_subscriptions, notices, deliveries, quotas, quota_windows, failed_attempts to tm_api;
grant select on audit_leaves, audit_tile_roots, audit_checkpoints, audit_cosignatures, delivery_attempts to tm_api;
grant select (id, name, public_key) on audit_keys to tm_api;
grant insert on issuers to tm_api;
grant update (certificate) on issuers to tm_api;
grant update (last_used_at) on operator_tokens to tm_api;
grant update (used_at) on invitations to tm_api;
grant update (counter, last_used_at) on passkeys to tm_api;
grant delete on sign_in_attempts to tm_api;
grant update (state, decider, decider_person, decided_at, single_operator, result) on approvals to tm_api;
grant update (state, url, description, events, sealed_secret, sealed_previous, previous_ends_at) on webhooks to tm_api;
grant update (state, events, digest) on mail_subscriptions to tm_api;
grant update (state, next_at) on deliveries to tm_api;
grant update (requests_per_minute, issuance_per_minute, updated_at) on quotas to tm_api;
grant update (used) on quota_windows to tm_api;
grant update (count) on failed_attempts to tm_api;

-- est: profiles as they are now, and limits
grant select on profile_versions, quotas, quota_windows, failed_attempts to tm_est;
grant insert on quota_windows, failed_attempts to tm_est;
grant update (used) on quota_windows to tm_est;
grant update (count) on failed_attempts to tm_est;

-- responder: tells under which key the log is signed, and which profiles there are
grant select (id, name, public_key) on audit_keys to tm_responder;
grant select on profile_versions to tm_responder;

-- worker: seals, tells, cleans up
grant select on people, approvals, profile_versions, audit_leaves, audit_tile_roots, audit_checkpoints, audit_cosignatures,
  audit_keys, audit_sealer, webhooks, mail_subscriptions, notices, deliveries, delivery_attempts, notice_cursor,
  expiry_warnings, sign_in_attempts, quota_windows, failed_attempts to tm_worker;
grant insert on audit_leaves, audit_tile_roots, audit_checkpoints, audit_cosignatures, notices, deliveries,
  delivery_attempts, expiry_warnings to tm_worker;
grant update (certificate) on issuers to tm_worker;
grant update (size) on audit_sealer to tm_worker;
grant update (leaf_index) on notice_cursor to tm_worker;
grant update (state) on webhooks to tm_worker;
grant update (last_sent_at) on mail_subscriptions to tm_worker;
grant update (state, attempts, next_at) on deliveries to tm_worker;
grant update (state, decided_at) on approvals to tm_worker;
grant delete on notices, deliveries, delivery_attempts, sign_in_attempts, quota_windows, failed_attempts to tm_worker;

do $$
declare
  t text;
  plane text;
  authority constant text := $p$current_setting('app.scope', true) = 'authority'$p$;
  me constant text := $p$nullif(current_setting('app.org', true), '')::uuid$p$;
begin
  foreach t in array array['key_audiences', 'enrollment_secrets'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I to tm_api using (%s or owner_org_id = %s or issuer_org_id = %s)', t || '_api', t, authority, me, me);
    foreach plane in array array['tm_est', 'tm_worker', 'tm_owner'] loop
      execute format('create policy %I on %I to %I using (true) with check (true)', t || '_' || plane, t, plane);
    end loop;
  end loop;
  foreach t in array array['people', 'operator_tokens', 'invitations', 'passkeys', 'approvals', 'webhooks', 'mail_subscriptions',
      'notices', 'deliveries', 'delivery_attempts', 'idempotency', 'quotas', 'quota_windows'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I to tm_api using (%s or organization_id = %s)', t || '_api', t, authority, me);
    foreach plane in array array['tm_est', 'tm_worker', 'tm_owner'] loop
      execute format('create policy %I on %I to %I using (true) with check (true)', t || '_' || plane, t, plane);
    end loop;
  end loop;
end $$;

-- Vendors are a common register for those who test: whose app it is must be sayable. What the vendors have is not seen by it.
drop policy organizations_api_read on organizations;
create policy organizations_api_read on organizations for select to tm_api using (
  current_setting('app.scope', true) = 'authority' or id = nullif(current_setting('app.org', true), '')::uuid or kind = 'provider'
  or (kind = 'vendor' and current_setting('app.scope', true) = 'testing'));
