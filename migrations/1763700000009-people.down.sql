drop table sign_in_attempts, passkeys, invitations;
drop function used_once();
delete from operator_tokens where kind <> 'bootstrap';
alter table operator_tokens drop column kind, drop column person_id, drop column created_by, drop column roles,
  drop column predecessor_id, drop column last_used_at;
drop index if exists operator_tokens_organization;
drop table people;
alter table status_changes drop constraint status_changes_kind_check;
alter table status_changes add constraint status_changes_kind_check check (kind in
  ('key', 'certificate', 'device', 'group', 'token')) not valid;
