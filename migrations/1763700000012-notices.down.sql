drop table expiry_warnings, notice_cursor, delivery_attempts, deliveries, notices, mail_subscriptions, webhooks;
alter table outbox drop column trace;
