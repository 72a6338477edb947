drop trigger status_changes_est on status_changes;
drop function est_only_supersedes;
revoke insert on status_changes, outbox from tm_est;
revoke update (seq, mac) on status_counter from tm_est;
revoke select (not_before, device_id, spki_sha256) on certificates from tm_responder;
revoke select (id, group_id) on devices from tm_responder;
revoke select (spki_sha256) on blocked_keys from tm_responder;
drop table supersessions, renewal_calls, late_renewals, pending_enrollments;
drop function pending_go_forward;
