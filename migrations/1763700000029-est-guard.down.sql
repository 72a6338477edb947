drop index certificates_ra;
drop trigger blocked_keys_est on blocked_keys;
drop function est_blocks_compromised();
revoke insert (spki_sha256, reason, source, actor) on blocked_keys from tm_est;
grant insert on blocked_keys to tm_est;
drop trigger enrollment_secrets_est on enrollment_secrets;
drop function est_makes_first_secret();
revoke insert (id, device_id, sealed_verifier, sealed_digest, pepper_version, expires_at, owner_org_id, issuer_org_id)
  on enrollment_secrets from tm_est;
grant insert on enrollment_secrets to tm_est;
