drop trigger ca_keys_resealed on ca_keys;
drop function ca_keys_are_only_resealed();
drop trigger audit_keys_resealed on audit_keys;
drop function audit_key_is_only_resealed();
create trigger audit_keys_append_only before update or delete on audit_keys for each row execute function refuse_rewrite();
create or replace function secrets_go_forward() returns trigger language plpgsql as $$
begin
  if old.state in ('spent', 'withdrawn') and new is distinct from old then
    raise exception 'enrollment secret %: % is final', old.id, old.state;
  end if;
  return new;
end $$;
drop trigger keys_resealed on keys;
drop trigger operator_tokens_resealed on operator_tokens;
drop trigger enrollment_secrets_resealed on enrollment_secrets;
drop trigger invitations_resealed on invitations;
drop function verifiers_are_only_resealed();
revoke select (id, person_id, organization_id, expires_at, used_at, sealed_verifier, pepper_version) on invitations from tm_worker;
revoke update (sealed_private) on audit_keys from tm_worker;
revoke update (sealed_secret, sealed_previous) on webhooks from tm_worker;
revoke update (sealed_verifier, pepper_version) on keys, operator_tokens, enrollment_secrets, invitations from tm_worker;
revoke update (sealed_private) on ca_keys from tm_signer;
revoke select (id) on audit from tm_signer;
revoke insert on audit from tm_signer;
revoke select (name, number, seq) on artifacts from tm_signer;
revoke select on status_changes, status_counter, policy_documents, crl_scopes, issuer_links from tm_signer;
-- Keys in tokens are not sealed anywhere: a database that has some cannot go back.
alter table ca_keys drop constraint ca_keys_place;
alter table ca_keys alter column sealed_private set not null;
alter table ca_keys drop column location;
