-- EST: a key that was made here and lost on its way has a certificate that nobody can use; est revokes it when it makes the
-- next one, and what a device wants revoked by CMC. Everything that est says in the log is under the MAC as all else is.
grant insert on status_changes, outbox, blocked_keys to tm_est;
grant update (seq, mac) on status_counter to tm_est;
