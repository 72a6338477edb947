-- The audit log as a transparency log: leaf n is the n-th sealed event. Rows are added by the sealer and never changed.
-- Which events are old enough to seal is asked of the row's own xmin: a column of ours could be edited.

alter table audit drop column xid;

create table audit_leaves (
  leaf_index  bigint primary key check (leaf_index >= 0),
  event_id    bigint not null unique,
  hash        bytea not null check (length(hash) = 32)
);

-- Root of each full tile of 256 hashes: entry n of the tiles one level up (tlog-tiles). Level 0 is audit_leaves itself.
create table audit_tile_roots (
  level  smallint not null check (level between 1 and 7),
  n      bigint not null check (n >= 0),
  hash   bytea not null check (length(hash) = 32),
  primary key (level, n)
);

-- Signed notes (C2SP tlog-checkpoint), one per batch.
create table audit_checkpoints (
  size        bigint primary key check (size > 0),
  note        text not null,
  created_at  timestamptz not null default now()
);

-- What a witness signed (C2SP tlog-cosignature), or, for files and webhooks, that it took the checkpoint (line is empty).
create table audit_cosignatures (
  size        bigint not null references audit_checkpoints,
  witness     text not null,
  line        text not null,
  created_at  timestamptz not null default now(),
  primary key (size, witness)
);

-- The checkpoint key (Ed25519), private part sealed under secrets/audit.kek.
create table audit_keys (
  id              smallint primary key check (id = 1),
  name            text not null,
  public_key      bytea not null check (length(public_key) = 32),
  sealed_private  bytea not null,
  created_at      timestamptz not null default now()
);

-- One row, locked by whoever seals: two sealers never number at the same time.
create table audit_sealer (
  id    smallint primary key check (id = 1),
  size  bigint not null
);
insert into audit_sealer values (1, 0);

do $$
declare
  t text;
begin
  foreach t in array array['audit_leaves', 'audit_tile_roots', 'audit_checkpoints', 'audit_cosignatures', 'audit_keys'] loop
    execute format('create trigger %I before update or delete on %I for each row execute function refuse_rewrite()', t || '_append_only', t);
    execute format('create trigger %I before truncate on %I for each statement execute function refuse_rewrite()', t || '_no_truncate', t);
  end loop;
end $$;
