-- API keys of app releases. Everything but status is immutable and covered by mac; the status that counts is in status_changes.

create table keys (
  id               text primary key check (id ~ '^[0-9A-Za-z]{14}$'),
  release_id       uuid not null references releases,
  environment      text not null check (environment in ('live', 'test')),
  audience         text not null check (audience in ('all', 'providers', 'countries')),
  sealed_verifier  bytea not null,
  pepper_version   integer not null,
  sealed_root      bytea not null,
  predecessor_id   text references keys,
  expires_at       timestamptz not null,
  mac              bytea not null,
  status           text not null default 'pending'
                   check (status in ('pending', 'active', 'retiring', 'suspended', 'revoked')),
  status_before    text,
  ends_at          timestamptz,
  owner_org_id     uuid not null references organizations,
  issuer_org_id    uuid not null references organizations,
  created_at       timestamptz not null default now()
);
create index keys_release on keys (release_id, environment);
create index keys_newest on keys (created_at desc, id desc);
create unique index keys_one_successor on keys (predecessor_id) where predecessor_id is not null;

create table key_audiences (
  key_id  text not null references keys,
  value   text not null,
  primary key (key_id, value)
);
