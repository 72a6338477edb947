delete from approvals where operation = 'blockedKeys.revoke';
alter table approvals drop constraint approvals_operation_check;
alter table approvals add constraint approvals_operation_check check (operation in
  ('ca.create', 'ca.activate', 'ca.revoke', 'profile.change', 'group.revoke', 'device.reenroll', 'role.grant', 'person.invite'));
drop table key_scan, key_findings, blocked_key_imports;
drop trigger blocked_keys_append_only on blocked_keys;
drop index blocked_keys_newest, blocked_keys_import;
alter table blocked_keys drop column import_id, drop column actor, drop column source;
