-- The one truth about status: a gapless, MAC-chained log. The counter row is locked last in a transaction.

create table status_changes (
  seq              bigint not null,
  kind             text not null check (kind in ('key', 'certificate', 'device', 'group', 'token')),
  subject          text not null,
  status           text not null,
  reason           text,
  at               timestamptz not null,
  invalidity_date  timestamptz,
  ends_at          timestamptz,
  issuer_id        uuid,
  shard            smallint,
  not_after        timestamptz,
  mac              bytea not null,
  primary key (seq)
) partition by range (seq);
create table status_changes_default partition of status_changes default;
create index status_changes_subject on status_changes (kind, subject, seq desc);
create index status_changes_issuer on status_changes (issuer_id, shard, seq) where issuer_id is not null;

create table status_counter (
  id   smallint primary key check (id = 1),
  seq  bigint not null,
  mac  bytea not null
);
insert into status_counter values (1, 0, decode(repeat('00', 32), 'hex'));
