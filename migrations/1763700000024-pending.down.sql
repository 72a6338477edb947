drop trigger status_changes_est on status_changes;
drop function est_only_revokes;
revoke select (not_before, device_id, spki_sha256, created_at) on certificates from tm_responder;
revoke select (id, group_id) on devices from tm_responder;
revoke select (spki_sha256) on blocked_keys from tm_responder;
drop table supersessions, renewal_calls, late_renewals, pending_enrollments;
drop function pending_go_forward;
drop function late_renewals_used_once;
