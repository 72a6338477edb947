-- Which versions of which keys each running process holds, as it says itself every few seconds: a rotation goes on once all of them
-- have what it hands out. Numbers only, never a key. Whoever plants a row delays a rotation, and whoever lies about his own
-- process harms that process.
create table secret_readers (
  process   uuid not null,
  secret    text not null,
  role      text not null default current_user,
  host      text not null,
  pid       integer not null,
  versions  integer[] not null,
  in_use    integer not null,
  seen_at   timestamptz not null default now(),
  primary key (process, secret)
);
grant select, insert, delete, update (versions, in_use, seen_at) on secret_readers
  to tm_api, tm_est, tm_responder, tm_worker, tm_signer;
alter table secret_readers enable row level security;
alter table secret_readers force row level security;
create policy secret_readers_own on secret_readers using (role = current_user) with check (role = current_user);
-- The roles by which keys are rotated see all.
create policy secret_readers_rotate on secret_readers for select to tm_worker, tm_signer using (true);
