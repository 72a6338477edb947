drop trigger status_no_truncate on status_changes;
drop trigger status_append_only on status_changes;
drop table expirations, idempotency, outbox, audit;
drop function refuse_rewrite;
