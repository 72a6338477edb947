-- API keys that may enroll devices, and what the EST plane needs to check a key by itself.

-- Fixed at issue and covered by mac, as everything but the status is; in the MAC only where true, so that older rows keep theirs.
alter table keys add column enroll boolean not null default false;
alter table keys add check (not enroll or environment = 'live');

-- Never the derivation root, which opens for providers what was sealed for them.
grant select (id, release_id, environment, audience, sealed_verifier, pepper_version, predecessor_id, expires_at, mac, status,
  status_before, ends_at, owner_org_id, issuer_org_id, created_at, enroll) on keys to tm_est;
grant select on key_audiences to tm_est;
-- Who enrolls by an account is a person, whose roles stand in the log.
grant select on people to tm_est;
