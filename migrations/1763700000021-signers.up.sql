-- Keys in tokens, a signer that checks for itself what it signs, and new versions of what values are sealed under.

-- sealed: under secrets/ca.kek, in this row. pkcs11:<label>: in that token, under the id of the key as CKA_ID.
alter table ca_keys add column location text not null default 'sealed' check (location = 'sealed' or location ~ '^pkcs11:.{1,32}$');
alter table ca_keys alter column sealed_private drop not null;
alter table ca_keys add constraint ca_keys_place check ((location = 'sealed') = (sealed_private is not null));

-- The signer follows the status log and derives again what it is asked to sign. It tells what it refused.
grant select on status_changes, status_counter, policy_documents, crl_scopes, issuer_links to tm_signer;
grant select (name, number, seq) on artifacts to tm_signer;
grant insert on audit to tm_signer;
grant select (id) on audit to tm_signer;

-- A value sealed under a new version takes the place of the old one; nothing else of the row moves with it.
grant update (sealed_private) on ca_keys to tm_signer;
grant update (sealed_verifier, pepper_version) on keys, operator_tokens, enrollment_secrets, invitations to tm_worker;
grant update (sealed_secret, sealed_previous) on webhooks to tm_worker;
grant update (sealed_private) on audit_keys to tm_worker;
grant select (id, person_id, organization_id, expires_at, used_at, sealed_verifier, pepper_version) on invitations to tm_worker;

-- A verifier is sealed anew under a later pepper or not at all: who may reseal cannot swap two rows' values back and forth.
create function verifiers_are_only_resealed() returns trigger language plpgsql as $$
begin
  if (new.sealed_verifier is distinct from old.sealed_verifier or new.pepper_version is distinct from old.pepper_version)
     and (new.sealed_verifier = old.sealed_verifier or new.pepper_version <= old.pepper_version) then
    raise exception '%: a verifier is sealed anew under a later pepper', tg_table_name;
  end if;
  return new;
end $$;
do $$
declare
  t text;
begin
  foreach t in array array['keys', 'operator_tokens', 'enrollment_secrets', 'invitations'] loop
    execute format('create trigger %I before update of sealed_verifier, pepper_version on %I for each row execute function verifiers_are_only_resealed()', t || '_resealed', t);
  end loop;
end $$;

-- Where sealed under what, it may move on; the key itself and everything else stand.
create or replace function secrets_go_forward() returns trigger language plpgsql as $$
declare
  resealed enrollment_secrets := new;
begin
  resealed.sealed_verifier := old.sealed_verifier;
  resealed.pepper_version := old.pepper_version;
  if old.state in ('spent', 'withdrawn') and resealed is distinct from old then
    raise exception 'enrollment secret %: % is final', old.id, old.state;
  end if;
  return new;
end $$;

create function audit_key_is_only_resealed() returns trigger language plpgsql as $$
begin
  if tg_op <> 'UPDATE' or (new.id, new.name, new.public_key, new.created_at) is distinct from (old.id, old.name, old.public_key, old.created_at) then
    raise exception '% is append-only', tg_table_name;
  end if;
  return new;
end $$;
drop trigger audit_keys_append_only on audit_keys;
create trigger audit_keys_resealed before update or delete on audit_keys for each row execute function audit_key_is_only_resealed();

create function ca_keys_are_only_resealed() returns trigger language plpgsql as $$
begin
  if (new.id, new.key_type, new.spki, new.location, new.created_at) is distinct from (old.id, old.key_type, old.spki, old.location, old.created_at) then
    raise exception 'CA key %: only what seals it may change', old.id;
  end if;
  return new;
end $$;
create trigger ca_keys_resealed before update on ca_keys for each row execute function ca_keys_are_only_resealed();
