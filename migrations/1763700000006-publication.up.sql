-- What the status plane serves. Every artifact says up to which seq of status_changes it is.

create table artifacts (
  name         text primary key,
  media_type   text not null,
  number       bigint not null,
  seq          bigint not null,
  this_update  timestamptz not null,
  next_update  timestamptz,
  sha256       bytea not null,
  bytes        bytea not null,
  created_at   timestamptz not null default now()
);

-- CRL numbers: taken under the row's lock, never from a clock. A gap is fine, a repeat is not.
create table crl_scopes (
  issuer_id  uuid not null references issuers,
  scope      text not null,
  number     bigint not null default 0,
  primary key (issuer_id, scope)
);

create table ocsp_answers (
  serial       bytea not null references serials,
  hash         text not null check (hash in ('sha1', 'sha256')),
  seq          bigint not null,
  this_update  timestamptz not null,
  next_update  timestamptz not null,
  der          bytea not null,
  primary key (serial, hash)
);
create index ocsp_answers_age on ocsp_answers (this_update);
