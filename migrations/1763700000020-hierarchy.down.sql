drop table imported_crls, issuer_links;
drop function issuer_links_write_once;
revoke update (not_after) on issuers from tm_api;
alter table issuers drop column terms;
alter table issuers add constraint issuers_ca_key check (ca_key_id is not null) not valid;
alter table issuers drop constraint issuers_kind_check;
alter table issuers add constraint issuers_kind_check check (kind in ('root', 'issuing')) not valid;
