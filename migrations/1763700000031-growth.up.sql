-- Devices of an app or a group are read in the order of their ids, some at a time: by these, without sorting all of them first.
drop index devices_app;
create index devices_app on devices (app_id, id);
drop index devices_group;
create index devices_group on devices (group_id, id) where group_id is not null;

-- What has ended, or will soon, is looked for all the time: not in the whole table.
create index certificates_end on certificates (not_after) where der is not null;
create index expirations_newest on expirations (kind, at desc);
