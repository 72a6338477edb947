drop table profile_versions, approvals;
drop function approvals_decided_once();
