-- Several roots, intermediate CAs, CAs of one organization, roots that are kept elsewhere, link and cross certificates.

alter table issuers drop constraint issuers_kind_check;
alter table issuers add constraint issuers_kind_check check (kind in ('root', 'intermediate', 'issuing'));
-- Of a CA whose key is not in our signer: an offline root, a CA of somebody else.
alter table issuers alter column ca_key_id drop not null;
-- RFC 8785 JSON of what its certificate does not say: for whom and by which profiles it issues, whom it follows, whether its
-- key is elsewhere. What the status log announced covers it.
alter table issuers add column terms bytea;
grant update (not_after) on issuers to tm_api;

-- Further certificates of CA keys: old and new root for each other, ours for a foreign CA, a foreign one's for ours. They
-- count as the status log announces them.
create table issuer_links (
  id                 uuid primary key,
  form               text not null check (form in ('oldWithNew', 'newWithOld', 'cross', 'subCa')),
  subject_issuer_id  uuid references issuers,
  issuer_id          uuid references issuers,
  name               text not null,
  spki_sha256        bytea not null,
  certificate        bytea,
  created_at         timestamptz not null default now(),
  check (subject_issuer_id is not null or issuer_id is not null)
);
create function issuer_links_write_once() returns trigger language plpgsql as $$
begin
  if old.certificate is not null and new.certificate is distinct from old.certificate then
    raise exception 'issuer link %: its certificate is written once', old.id;
  end if;
  return new;
end $$;
create trigger issuer_links_once before update on issuer_links for each row execute function issuer_links_write_once();
grant select, insert on issuer_links to tm_api;
grant update (certificate) on issuer_links to tm_api, tm_worker;
grant select on issuer_links to tm_est, tm_responder, tm_worker;

-- CRLs of roots that are kept elsewhere, as they were brought in. The newest one that its issuer signed is published.
create table imported_crls (
  issuer_id   uuid not null references issuers,
  number      bigint not null check (number >= 0),
  der         bytea not null,
  created_at  timestamptz not null default now(),
  primary key (issuer_id, number)
);
create trigger imported_crls_append_only before update or delete on imported_crls
  for each row execute function refuse_rewrite();
grant select, insert on imported_crls to tm_api;
grant select on imported_crls to tm_worker;

