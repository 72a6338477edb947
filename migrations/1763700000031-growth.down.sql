drop index expirations_newest;
drop index certificates_end;
drop index devices_group;
create index devices_group on devices (group_id) where group_id is not null;
drop index devices_app;
create index devices_app on devices (app_id);
