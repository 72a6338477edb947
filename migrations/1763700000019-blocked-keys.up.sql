-- Whence a key is blocked, by whom, and what came of looking for certificates that carry one.

-- A list that an operator imported. digest is the SHA-256 over the keys that it added, in their order: one that is taken out shows.
create table blocked_key_imports (
  id          uuid primary key,
  reason      text not null,
  actor       text not null,
  added       integer not null check (added >= 0),
  digest      bytea not null check (length(digest) = 32),
  mac         bytea not null,
  created_at  timestamptz not null
);
create trigger blocked_key_imports_append_only before update or delete on blocked_key_imports
  for each row execute function refuse_rewrite();

-- compromised: revoked as such; ca: our own CA key; imported: of a list.
alter table blocked_keys
  add column source text not null default 'compromised' check (source in ('compromised', 'ca', 'imported')),
  add column actor text,
  add column import_id uuid,
  add check ((source = 'imported') = (import_id is not null));
update blocked_keys set source = 'ca' where reason = 'CA key';
create trigger blocked_keys_append_only before update or delete on blocked_keys
  for each row execute function refuse_rewrite();
create index blocked_keys_newest on blocked_keys (created_at desc, spki_sha256 desc);
create index blocked_keys_import on blocked_keys (import_id, spki_sha256) where import_id is not null;

-- Certificates that are good and whose key is not: found and told once.
create table key_findings (
  serial      bytea primary key,
  not_after   timestamptz not null,
  problem     text not null check (problem in ('blocked', 'weak')),
  detail      text not null,
  found_at    timestamptz not null
);
create index key_findings_newest on key_findings (found_at desc, serial desc);

-- The last search: by which version of the rules about weak keys, up to which import, and how many lists were found altered.
create table key_scan (
  id          smallint primary key default 1 check (id = 1),
  rules       integer not null default 0,
  import_id   uuid,
  scanned_at  timestamptz,
  altered     integer not null default 0
);
insert into key_scan default values;

grant select, insert on blocked_key_imports to tm_api;
grant select on key_findings to tm_api;
grant select on blocked_key_imports to tm_worker;
grant select, insert, delete on key_findings to tm_worker;
grant select, update (rules, import_id, scanned_at, altered) on key_scan to tm_worker;
