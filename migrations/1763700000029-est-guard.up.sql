-- The plane est faces every device. What it may write besides certificates is bounded to what its own work needs.

-- A device that registers itself gets its one secret; nobody plants a newer one for a device that is there.
revoke insert on enrollment_secrets from tm_est;
grant insert (id, device_id, sealed_verifier, sealed_digest, pepper_version, expires_at, owner_org_id, issuer_org_id)
  on enrollment_secrets to tm_est;
create function est_makes_first_secret() returns trigger language plpgsql as $$
begin
  if exists (select 1 from enrollment_secrets where device_id = new.device_id) then
    raise exception 'the plane est makes the first secret of a device and no other';
  end if;
  return new;
end $$;
create trigger enrollment_secrets_est before insert on enrollment_secrets
  for each row when (current_user = 'tm_est') execute function est_makes_first_secret();

-- A key is blocked by est only with the revocation of a certificate that carries it, which comes last in the transaction.
revoke insert on blocked_keys from tm_est;
grant insert (spki_sha256, reason, source, actor) on blocked_keys to tm_est;
create function est_blocks_compromised() returns trigger language plpgsql as $$
begin
  if new.source <> 'compromised' or not exists (
      select 1 from certificates c join serials s on s.serial = c.serial and s.not_after = c.not_after
        join status_changes l on l.kind = 'certificate' and l.subject = encode(c.serial, 'hex')
      where c.spki_sha256 = new.spki_sha256 and l.status = 'revoked' and l.reason = 'keyCompromise') then
    raise exception 'the plane est blocks no key but that of a certificate that is revoked as compromised';
  end if;
  return null;
end $$;
create constraint trigger blocked_keys_est after insert on blocked_keys deferrable initially deferred
  for each row when (current_user = 'tm_est') execute function est_blocks_compromised();

-- What a registration authority obtained for others: ra:<device id>, and for a renewal :<serial> behind it.
create index certificates_ra on certificates (split_part(requester, ':', 2), created_at, serial) where requester like 'ra:%';
