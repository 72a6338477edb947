drop policy organizations_api_read on organizations;
create policy organizations_api_read on organizations for select to tm_api using (
  current_setting('app.scope', true) = 'authority' or id = nullif(current_setting('app.org', true), '')::uuid or kind = 'provider');
do $$
declare
  t text;
  p record;
begin
  foreach t in array array['key_audiences', 'enrollment_secrets', 'people', 'operator_tokens', 'invitations', 'passkeys', 'approvals',
      'webhooks', 'mail_subscriptions', 'notices', 'deliveries', 'delivery_attempts', 'idempotency', 'quotas', 'quota_windows'] loop
    for p in select policyname from pg_policies where schemaname = 'touchmark' and tablename = t loop
      execute format('drop policy %I on %I', p.policyname, t);
    end loop;
    execute format('alter table %I no force row level security', t);
    execute format('alter table %I disable row level security', t);
  end loop;
end $$;
revoke insert on issuers from tm_api;
revoke update (certificate) on issuers from tm_api, tm_worker;
drop trigger issuers_once on issuers;
drop function issuers_write_once;
revoke update (last_used_at) on operator_tokens from tm_api;
revoke all on people, invitations, passkeys, sign_in_attempts, approvals, profile_versions, audit_leaves, audit_tile_roots,
  audit_checkpoints, audit_cosignatures, audit_keys, audit_sealer, webhooks, mail_subscriptions, notices, deliveries,
  delivery_attempts, notice_cursor, expiry_warnings, quotas, quota_windows, failed_attempts
  from tm_api, tm_est, tm_responder, tm_worker;
alter table idempotency drop column organization_id;
alter table enrollment_secrets drop column owner_org_id, drop column issuer_org_id;
alter table key_audiences drop column owner_org_id, drop column issuer_org_id;
