revoke select on people, key_audiences from tm_est;
revoke select (id, release_id, environment, audience, sealed_verifier, pepper_version, predecessor_id, expires_at, mac, status,
  status_before, ends_at, owner_org_id, issuer_org_id, created_at, enroll) on keys from tm_est;
alter table keys drop column enroll;
