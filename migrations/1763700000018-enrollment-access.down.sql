revoke insert on devices, enrollment_secrets from tm_est;
drop table anchor_crls;
drop table device_identities;

alter table status_changes drop constraint status_changes_kind_check;
alter table status_changes add constraint status_changes_kind_check check (kind in
  ('key', 'certificate', 'device', 'group', 'token', 'person', 'role', 'passkey', 'issuer', 'profile', 'label', 'anchors',
   'domain', 'user')) not valid;
