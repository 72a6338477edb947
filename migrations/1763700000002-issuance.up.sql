-- Certification authorities, serial numbers (the intent table), certificates, devices and their one-time secrets.

-- Private CA keys, sealed under secrets/ca.kek. Only the signer's role reads them.
create table ca_keys (
  id              uuid primary key,
  key_type        text not null,
  spki            bytea not null,
  sealed_private  bytea not null,
  created_at      timestamptz not null default now()
);

create table issuers (
  id           uuid primary key,
  kind         text not null check (kind in ('root', 'issuing')),
  parent_id    uuid references issuers,
  name         text not null,
  ca_key_id    uuid not null references ca_keys,
  subject_der  bytea not null,
  spki         bytea not null,
  certificate  bytea,
  status_url   text not null,
  shards       smallint not null default 1 check (shards between 1 and 4096),
  not_after    timestamptz not null,
  created_at   timestamptz not null default now()
);

-- One row per serial number ever used, unique over the whole instance and never partitioned.
-- The row is the intent to sign: it exists, committed, before any signer is asked.
create table serials (
  serial      bytea primary key check (length(serial) between 1 and 20),
  issuer_id   uuid not null references issuers,
  shard       smallint not null,
  not_after   timestamptz not null,
  state       text not null default 'issuing' check (state in ('issuing', 'issued', 'abandoned')),
  created_at  timestamptz not null default now()
);
create index serials_open on serials (created_at) where state = 'issuing';

create function serials_leave_issuing_only() returns trigger language plpgsql as $$
begin
  if old.state <> 'issuing' or new.state = 'issuing' then
    raise exception 'serial %: state % cannot become %', encode(old.serial, 'hex'), old.state, new.state;
  end if;
  return new;
end $$;
create trigger serials_state before update on serials for each row execute function serials_leave_issuing_only();

create table devices (
  id             uuid primary key,
  instance_id    uuid not null unique,
  app_id         uuid not null references apps,
  release_id     uuid references releases,
  group_id       uuid references device_groups,
  profile        text not null,
  names          jsonb not null default '[]',
  status         text not null default 'registered' check (status in ('registered', 'enrolled', 'suspended', 'revoked')),
  owner_org_id   uuid not null references organizations,
  issuer_org_id  uuid not null references organizations,
  created_at     timestamptz not null default now()
);
create index devices_app on devices (app_id);
create index devices_group on devices (group_id) where group_id is not null;

-- App, release and organizations are copied from the device, which refers to them: seven more checks per insert say nothing new.
-- mac covers what is to be signed for whom: an intent that somebody else wrote is never signed.
-- tbs is what is signed, byte for byte; der arrives once, after the signature. A certificate without der was never sent.
create table certificates (
  serial           bytea not null references serials,
  not_after        timestamptz not null,
  not_before       timestamptz not null,
  issuer_id        uuid not null references issuers,
  profile          text not null,
  profile_version  integer not null,
  tbs              bytea not null,
  der              bytea,
  sha256           bytea generated always as (sha256(der)) stored,
  spki_sha256      bytea not null,
  subject          text not null,
  names            text[] not null,
  device_id        uuid references devices,
  app_id           uuid,
  release_id       uuid,
  secret_id        text,
  request_label    text not null default '',
  requester        text not null,
  superseded_by    bytea,
  mac              bytea not null,
  owner_org_id     uuid,
  issuer_org_id    uuid not null,
  created_at       timestamptz not null default now(),
  primary key (serial, not_after)
) partition by range (not_after);
create table certificates_default partition of certificates default;
create index certificates_device on certificates (device_id, created_at desc) where device_id is not null;
create index certificates_key on certificates (spki_sha256);
create index certificates_fingerprint on certificates (sha256);
create index certificates_newest on certificates (created_at desc, serial desc);

create function certificates_write_once() returns trigger language plpgsql as $$
begin
  if (old.der is not null and new.der is distinct from old.der)
     or (old.superseded_by is not null and new.superseded_by is distinct from old.superseded_by) then
    raise exception 'certificate %: der and superseded_by are written once', encode(old.serial, 'hex');
  end if;
  return new;
end $$;
create trigger certificates_once before update on certificates for each row execute function certificates_write_once();

-- free -> bound to one intent and one key -> spent when the certificate is stored; back to free when the intent is abandoned.
create table enrollment_secrets (
  id               text primary key check (id ~ '^[0-9A-Za-z]{14}$'),
  device_id        uuid not null references devices,
  sealed_verifier  bytea not null,
  pepper_version   integer not null,
  state            text not null default 'free' check (state in ('free', 'bound', 'spent', 'withdrawn')),
  bound_serial     bytea references serials,
  bound_request    bytea,
  expires_at       timestamptz not null,
  created_at       timestamptz not null default now(),
  check ((state in ('bound', 'spent')) = (bound_serial is not null and bound_request is not null))
);
create index enrollment_secrets_device on enrollment_secrets (device_id);
create index enrollment_secrets_serial on enrollment_secrets (bound_serial) where bound_serial is not null;

create function secrets_go_forward() returns trigger language plpgsql as $$
begin
  if old.state in ('spent', 'withdrawn') and new is distinct from old then
    raise exception 'enrollment secret %: % is final', old.id, old.state;
  end if;
  return new;
end $$;
create trigger enrollment_secrets_state before update on enrollment_secrets
  for each row execute function secrets_go_forward();

-- Public keys that no certificate may carry again: revoked as compromised, or our own CA keys.
create table blocked_keys (
  spki_sha256  bytea primary key,
  reason       text not null,
  created_at   timestamptz not null default now()
);
