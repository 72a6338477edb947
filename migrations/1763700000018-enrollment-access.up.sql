-- By what else than a secret a device proves itself: a manufacturer's certificate, a certificate or key that was registered
-- beforehand. And the revocation lists of those manufacturers.

-- Which kinds there are is known by the code, and a row stands under the MAC chain.
alter table status_changes drop constraint status_changes_kind_check;
alter table status_changes add constraint status_changes_kind_check check (kind ~ '^[a-z]+$');

-- certificate, key: SHA-256 in hex. manufacturer: what the set of trust anchors named here reads from the certificate.
-- One identity is one device. Which were removed is in status_changes (kind identity).
create table device_identities (
  id             uuid primary key,
  device_id      uuid not null references devices,
  kind           text not null check (kind in ('certificate', 'key', 'manufacturer')),
  anchors        text not null default '',
  value          text not null check (length(value) between 1 and 200),
  automatic      boolean not null default false,
  mac            bytea not null,
  owner_org_id   uuid not null references organizations,
  issuer_org_id  uuid not null references organizations,
  created_at     timestamptz not null default now(),
  unique (kind, anchors, value),
  check ((kind = 'manufacturer') = (anchors <> ''))
);
create index device_identities_device on device_identities (device_id);
create index device_identities_automatic on device_identities (anchors, created_at) where automatic;

-- The one that counts, per set and signing key, is announced in status_changes (kind crl) by its SHA-256.
create table anchor_crls (
  sha256      bytea primary key check (length(sha256) = 32),
  anchors     text not null,
  signer      bytea not null,
  crl         bytea not null,
  created_at  timestamptz not null default now()
);
create index anchor_crls_signer on anchor_crls (anchors, signer);

grant select, insert, delete on device_identities, anchor_crls to tm_api;
grant select, insert on device_identities to tm_est;
grant select on anchor_crls to tm_est;
-- A device that a manufacturer vouches for is registered when it first comes.
grant insert on devices, enrollment_secrets to tm_est;

alter table device_identities enable row level security;
alter table device_identities force row level security;
create policy device_identities_api on device_identities to tm_api using (
  current_setting('app.scope', true) = 'authority'
  or owner_org_id = nullif(current_setting('app.org', true), '')::uuid
  or issuer_org_id = nullif(current_setting('app.org', true), '')::uuid);
create policy device_identities_planes on device_identities to tm_est, tm_worker, tm_owner using (true) with check (true);
