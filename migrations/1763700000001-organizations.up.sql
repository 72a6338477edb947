-- Who takes part: organizations, their apps and releases, groups of devices, and the machine tokens of operators.
-- owner_org_id is the vendor a row belongs to, issuer_org_id the testing organization that vouches for it.

create table organizations (
  id          uuid primary key,
  kind        text not null check (kind in ('authority', 'testing', 'provider', 'vendor')),
  name        text not null check (length(name) between 1 and 200),
  country     text check (country ~ '^[A-Z]{2}$'),
  created_at  timestamptz not null default now()
);
create unique index organizations_one_authority on organizations (kind) where kind = 'authority';

create table apps (
  id             uuid primary key,
  name           text not null check (length(name) between 1 and 200),
  owner_org_id   uuid not null references organizations,
  issuer_org_id  uuid not null references organizations,
  created_at     timestamptz not null default now()
);
create index apps_owner on apps (owner_org_id);

create table releases (
  id             uuid primary key,
  app_id         uuid not null references apps,
  version        text not null check (length(version) between 1 and 100),
  platform       text check (length(platform) between 1 and 100),
  digest         text,
  owner_org_id   uuid not null references organizations,
  issuer_org_id  uuid not null references organizations,
  created_at     timestamptz not null default now(),
  unique nulls not distinct (app_id, version, platform)
);

create table device_groups (
  id             uuid primary key,
  name           text not null check (length(name) between 1 and 200),
  status         text not null default 'active' check (status in ('active', 'suspended', 'revoked')),
  owner_org_id   uuid not null references organizations,
  issuer_org_id  uuid not null references organizations,
  created_at     timestamptz not null default now()
);

-- The token text is never stored: sealed_verifier opens only with secrets/pepper, mac only checks with secrets/status.mac.
create table operator_tokens (
  id               text primary key check (id ~ '^[0-9A-Za-z]{14}$'),
  organization_id  uuid not null references organizations,
  name             text not null,
  sealed_verifier  bytea not null,
  pepper_version   integer not null,
  expires_at       timestamptz,
  mac              bytea not null,
  created_at       timestamptz not null default now()
);
