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
drop trigger enrollment_secrets_digest_resealed on enrollment_secrets;
drop function digests_are_only_resealed;
revoke update (sealed_digest) on enrollment_secrets from tm_worker;
alter table enrollment_secrets drop column sealed_digest;
