-- Who wants to be told what, and what became of it. A notice is made from a sealed audit event, once per organization that
-- the event concerns and that listens; a delivery is one notice to one receiver.

create table webhooks (
  id               uuid primary key,
  organization_id  uuid not null references organizations,
  url              text not null check (length(url) between 8 and 2000),
  description      text not null default '' check (length(description) <= 200),
  events           text[] not null check (cardinality(events) between 1 and 50),
  sealed_secret    bytea not null,
  sealed_previous  bytea,
  previous_ends_at timestamptz,
  state            text not null default 'active' check (state in ('active', 'disabled', 'removed')),
  created_at       timestamptz not null default now()
);
create index webhooks_organization on webhooks (organization_id);

create table mail_subscriptions (
  id               uuid primary key,
  organization_id  uuid not null references organizations,
  address          text not null check (length(address) between 3 and 254),
  events           text[] not null check (cardinality(events) between 1 and 50),
  digest           text not null default 'daily' check (digest in ('immediate', 'hourly', 'daily')),
  last_sent_at     timestamptz,
  state            text not null default 'active' check (state in ('active', 'removed')),
  created_at       timestamptz not null default now()
);
create index mail_subscriptions_organization on mail_subscriptions (organization_id);

-- event_id: the audit entry that it tells of; null: a test.
create table notices (
  id               uuid primary key,
  organization_id  uuid not null references organizations,
  type             text not null,
  subject          text not null,
  at               timestamptz not null,
  event_id         bigint,
  payload          bytea not null,
  created_at       timestamptz not null default now(),
  unique (event_id, organization_id, type)
);

create table deliveries (
  id               uuid primary key,
  notice_id        uuid not null references notices,
  organization_id  uuid not null references organizations,
  webhook_id       uuid references webhooks,
  subscription_id  uuid references mail_subscriptions,
  state            text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
  attempts         integer not null default 0,
  next_at          timestamptz not null default now(),
  created_at       timestamptz not null default now(),
  check ((webhook_id is null) <> (subscription_id is null)),
  unique nulls not distinct (notice_id, webhook_id, subscription_id)
);
create index deliveries_failed on deliveries (created_at) where state = 'failed';
create index deliveries_due on deliveries (next_at) where state = 'pending';
create index deliveries_due_webhook on deliveries (webhook_id, next_at) where state = 'pending' and webhook_id is not null;
create index deliveries_due_mail on deliveries (subscription_id, next_at) where state = 'pending' and subscription_id is not null;
create index deliveries_age on deliveries (created_at);
create index deliveries_webhook on deliveries (webhook_id, id desc) where webhook_id is not null;
create index deliveries_subscription on deliveries (subscription_id, id desc) where subscription_id is not null;

-- The delivery log: one row per try.
create table delivery_attempts (
  delivery_id      uuid not null references deliveries on delete cascade,
  attempt          integer not null,
  organization_id  uuid not null,
  at               timestamptz not null default now(),
  duration_ms      integer not null,
  status           integer,
  error            text,
  primary key (delivery_id, attempt)
);

-- The next leaf of the audit tree to make notices of; locked by whoever makes them.
create table notice_cursor (
  id          smallint primary key check (id = 1),
  leaf_index  bigint not null
);
insert into notice_cursor values (1, 0);

-- That somebody was warned, once per step: days before the end, 0 for an overdue renewal.
create table expiry_warnings (
  kind     text not null check (kind in ('key', 'certificate', 'issuer', 'ocspDelegate')),
  subject  text not null,
  days     smallint not null,
  at       timestamptz not null default now(),
  primary key (kind, subject, days)
);

-- Where a change that is traced came from (W3C traceparent): the job that follows belongs to the same trace.
alter table outbox add column trace text check (length(trace) = 55);
