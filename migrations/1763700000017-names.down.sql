drop index devices_name_holders;
alter table devices drop column mac, drop column bound_at, drop column name_holders;
drop table name_users;
drop table domains;
