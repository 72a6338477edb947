-- EST: a key that was made here and lost on its way has a certificate that nobody can use; est revokes it when it makes the
-- next one, and what a device wants revoked by CMC. Everything that est says in the log is under the MAC as all else is.
grant insert on status_changes, outbox, blocked_keys to tm_est;
grant update (seq, mac) on status_counter to tm_est;

-- Symmetric keys that a device holds already, by the identifier that it calls them by: what a private key made here is encrypted to.
-- Sealed to est, which alone opens them; the MAC says that an operator registered them, since anybody can seal to a public key.
create table device_transport_keys (
  device_id       uuid not null references devices,
  key_identifier  bytea not null check (octet_length(key_identifier) between 1 and 64),
  bits            integer not null check (bits in (128, 256)),
  sealed          bytea not null,
  mac             bytea not null,
  owner_org_id    uuid not null,
  issuer_org_id   uuid not null,
  created_at      timestamptz not null default now(),
  primary key (device_id, key_identifier)
);
grant select, insert, delete on device_transport_keys to tm_api;
grant select on device_transport_keys to tm_est;
alter table device_transport_keys enable row level security;
alter table device_transport_keys force row level security;
create policy device_transport_keys_api on device_transport_keys to tm_api using (
  current_setting('app.scope', true) = 'authority'
  or owner_org_id = nullif(current_setting('app.org', true), '')::uuid
  or issuer_org_id = nullif(current_setting('app.org', true), '')::uuid);
create policy device_transport_keys_tm_est on device_transport_keys to tm_est using (true) with check (true);
create policy device_transport_keys_tm_owner on device_transport_keys to tm_owner using (true) with check (true);
