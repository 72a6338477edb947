alter table approvals drop constraint approvals_operation_check;
alter table approvals add constraint approvals_operation_check check (operation in
  ('ca.create', 'ca.activate', 'ca.revoke', 'profile.change', 'group.revoke', 'device.reenroll', 'role.grant', 'person.invite')) not valid;

alter table status_changes drop constraint status_changes_kind_check;
alter table status_changes add constraint status_changes_kind_check check (kind in
  ('key', 'certificate', 'device', 'group', 'token', 'person', 'role', 'passkey', 'issuer', 'profile')) not valid;

alter trigger policy_documents_append_only on policy_documents rename to profile_versions_append_only;
alter table policy_documents
  drop constraint policy_documents_pkey,
  drop constraint policy_documents_kind_check,
  drop constraint policy_documents_version_check,
  add constraint profile_versions_version_check check (version > 1) not valid;
alter table policy_documents drop column kind;
alter table policy_documents rename column document to settings;
alter table policy_documents rename to profile_versions;
alter table profile_versions add primary key (name, version);
