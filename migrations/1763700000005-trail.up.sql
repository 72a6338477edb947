-- What was done (audit), what is still to be done (outbox), what was answered (idempotency), what ended by itself (expirations).

create table audit (
  id             bigint generated always as identity,
  at             timestamptz not null,
  actor          text not null,
  action         text not null,
  subject        text not null,
  outcome        text not null check (outcome in ('success', 'refused', 'failed')),
  request_id     text not null,
  canonical      bytea not null,
  owner_org_id   uuid,
  issuer_org_id  uuid,
  xid            xid8 not null default pg_current_xact_id(),
  primary key (id)
) partition by range (id);
create table audit_default partition of audit default;
create index audit_subject on audit (subject, id desc);
create index audit_action on audit (action, id desc);

create table outbox (
  id          bigint generated always as identity primary key,
  topic       text not null,
  subject     text not null,
  seq         bigint,
  version     smallint not null default 1,
  relayed_at  timestamptz,
  done_at     timestamptz,
  created_at  timestamptz not null default now()
);
create index outbox_open on outbox (id) where done_at is null;
create index outbox_wanted on outbox (topic, subject) where done_at is null;

create table idempotency (
  principal     text not null,
  key_hash      bytea not null,
  request_hash  bytea not null,
  status        smallint not null,
  salt          bytea not null,
  sealed        bytea,
  expires_at    timestamptz not null,
  created_at    timestamptz not null default now(),
  primary key (principal, key_hash)
);
create index idempotency_expiry on idempotency (expires_at);

create table expirations (
  kind     text not null check (kind in ('key', 'certificate')),
  subject  text not null,
  at       timestamptz not null default now(),
  primary key (kind, subject)
);

-- History is appended to, never rewritten, whatever a role was granted.
create function refuse_rewrite() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name;
end $$;
create trigger audit_append_only before update or delete on audit for each row execute function refuse_rewrite();
create trigger audit_no_truncate before truncate on audit for each statement execute function refuse_rewrite();
create trigger status_append_only before update or delete on status_changes for each row execute function refuse_rewrite();
create trigger status_no_truncate before truncate on status_changes for each statement execute function refuse_rewrite();
-- Statement triggers are not inherited: each partition needs its own (ensure_partitions makes those of the later ones).
create trigger audit_no_truncate before truncate on audit_default for each statement execute function refuse_rewrite();
create trigger status_no_truncate before truncate on status_changes_default for each statement execute function refuse_rewrite();
