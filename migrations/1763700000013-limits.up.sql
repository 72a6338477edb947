-- Limits that hold over all processes together. The counters may be lost in a crash, hence no WAL for them.

create table quotas (
  organization_id      uuid primary key references organizations,
  requests_per_minute  integer check (requests_per_minute > 0),
  issuance_per_minute  integer check (issuance_per_minute > 0),
  updated_at           timestamptz not null default now()
);

create unlogged table quota_windows (
  organization_id  uuid not null,
  name             text not null,
  window_start     timestamptz not null,
  used             bigint not null,
  primary key (organization_id, name, window_start)
);

-- name: what is counted, under a hash where it is an address.
create unlogged table failed_attempts (
  name          text not null,
  window_start  timestamptz not null,
  count         integer not null,
  primary key (name, window_start)
);
