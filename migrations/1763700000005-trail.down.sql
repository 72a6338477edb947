drop table expirations, idempotency, outbox, audit;
-- With its triggers on status_changes and all partitions of it.
drop function refuse_rewrite cascade;
