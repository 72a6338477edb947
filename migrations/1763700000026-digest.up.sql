-- H(A1) of RFC 7616 of a secret that is made for a label with HTTP Digest, sealed as the secret's own verifier is.
alter table enrollment_secrets add column sealed_digest bytea;
grant update (sealed_digest) on enrollment_secrets to tm_worker;

-- Both of a row are sealed under the same pepper: they move on together, and none is put in later.
create function digests_are_only_resealed() returns trigger language plpgsql as $$
begin
  if (old.sealed_digest is null) <> (new.sealed_digest is null)
     or (old.sealed_digest is not null
         and (new.sealed_digest is distinct from old.sealed_digest) <> (new.pepper_version > old.pepper_version)) then
    raise exception '%: a verifier is sealed anew under a later pepper', tg_table_name;
  end if;
  return new;
end $$;
create trigger enrollment_secrets_digest_resealed before update of sealed_digest, pepper_version on enrollment_secrets
  for each row execute function digests_are_only_resealed();

create or replace function secrets_go_forward() returns trigger language plpgsql as $$
declare
  resealed enrollment_secrets := new;
begin
  resealed.sealed_verifier := old.sealed_verifier;
  resealed.sealed_digest := old.sealed_digest;
  resealed.pepper_version := old.pepper_version;
  if old.state in ('spent', 'withdrawn') and resealed is distinct from old then
    raise exception 'enrollment secret %: % is final', old.id, old.state;
  end if;
  return new;
end $$;
