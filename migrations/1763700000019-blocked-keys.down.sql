drop table key_scan, key_findings, blocked_key_imports;
drop trigger blocked_keys_append_only on blocked_keys;
drop index blocked_keys_newest, blocked_keys_import;
alter table blocked_keys drop column import_id, drop column actor, drop column source;
