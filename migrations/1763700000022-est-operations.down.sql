drop table device_transport_keys;
revoke update (seq, mac) on status_counter from tm_est;
revoke insert on status_changes, outbox, blocked_keys from tm_est;
