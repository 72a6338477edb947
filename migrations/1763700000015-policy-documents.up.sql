-- What two people decide about how is issued: profiles, EST labels, trust anchors of others. One table and one way for all
-- of them: whole documents in versions, each under a MAC and announced in the status log by its SHA-256.

alter table profile_versions rename to policy_documents;
alter table policy_documents rename column settings to document;
alter table policy_documents add column kind text not null default 'profile';
alter table policy_documents alter column kind drop default;
alter table policy_documents
  drop constraint profile_versions_pkey,
  drop constraint profile_versions_version_check,
  add check (kind in ('profile', 'label', 'anchors')),
  add check (version >= 1),
  add primary key (kind, name, version);
alter trigger profile_versions_append_only on policy_documents rename to policy_documents_append_only;

alter table status_changes drop constraint status_changes_kind_check;
alter table status_changes add constraint status_changes_kind_check check (kind in
  ('key', 'certificate', 'device', 'group', 'token', 'person', 'role', 'passkey', 'issuer', 'profile', 'label', 'anchors',
   'domain', 'user'));

-- Which operations there are is known by the code, and a proposal stands under a MAC.
alter table approvals drop constraint approvals_operation_check;
alter table approvals add constraint approvals_operation_check check (operation ~ '^[a-z]+\.[a-zA-Z-]+$');
