-- What becomes of an enrollment between its request and its end: requests that wait for somebody's approval, the leave to
-- renew late, calls to renew now, and a certificate revoked as superseded where its successor is stored.

create table pending_enrollments (
  id              uuid primary key,
  device_id       uuid not null references devices,
  requester       text not null,
  request_label   text not null,
  -- E88: of principal, label, key and names.
  request         bytea not null,
  profile         text not null,
  key_type        text not null,
  spki_sha256     bytea not null,
  names           text[] not null,
  -- null where it carries a secret.
  csr             bytea check (octet_length(csr) <= 65536),
  address         text not null,
  state           text not null default 'pending'
                  check (state in ('pending', 'approved', 'rejected', 'expired', 'withdrawn', 'done')),
  requested_at    timestamptz not null,
  expires_at      timestamptz not null,
  decider         text,
  decider_person  text,
  decided_at      timestamptz,
  reason          text,
  serial          bytea,
  owner_org_id    uuid not null,
  issuer_org_id   uuid not null,
  mac             bytea not null,
  check ((state = 'done') = (serial is not null))
);
create unique index pending_enrollments_open on pending_enrollments (request) where state in ('pending', 'approved');
create index pending_enrollments_request on pending_enrollments (request, id desc);
create index pending_enrollments_device on pending_enrollments (device_id) where state in ('pending', 'approved');
create index pending_enrollments_owner on pending_enrollments (owner_org_id) where state in ('pending', 'approved');
create index pending_enrollments_expiry on pending_enrollments (expires_at) where state in ('pending', 'approved');

create function pending_go_forward() returns trigger language plpgsql as $$
begin
  if not (old.state = new.state and old.state in ('approved', 'done'))
     and not (old.state = 'pending' and new.state in ('approved', 'rejected', 'expired', 'withdrawn'))
     and not (old.state = 'approved' and new.state in ('done', 'expired', 'withdrawn')) then
    raise exception 'pending enrollment %: % does not become %', old.id, old.state, new.state;
  end if;
  return new;
end $$;
create trigger pending_enrollments_forward before update on pending_enrollments
  for each row execute function pending_go_forward();

-- One renewal with a certificate that has ended.
create table late_renewals (
  id             uuid primary key,
  device_id      uuid not null references devices,
  granted_by     text not null,
  granted_at     timestamptz not null,
  expires_at     timestamptz not null,
  serial         bytea,
  owner_org_id   uuid not null,
  issuer_org_id  uuid not null,
  mac            bytea not null
);
create index late_renewals_device on late_renewals (device_id, id desc);
-- Used once; again only where nothing was signed.
create function late_renewals_used_once() returns trigger language plpgsql as $$
begin
  if new.serial is null or (old.serial is distinct from new.serial and old.serial is not null
      and not exists (select 1 from serials where serial = old.serial and state = 'abandoned')) then
    raise exception 'late renewal %: it was used', old.id;
  end if;
  return new;
end $$;
create trigger late_renewals_once before update of serial on late_renewals
  for each row execute function late_renewals_used_once();

-- Everything that was issued before is to be renewed now.
create table renewal_calls (
  id             uuid primary key,
  kind           text not null check (kind in ('group', 'issuer')),
  subject        uuid not null,
  called_by      text not null,
  called_at      timestamptz not null,
  reason         text not null,
  owner_org_id   uuid not null,
  issuer_org_id  uuid not null,
  mac            bytea not null
);
create index renewal_calls_subject on renewal_calls (kind, subject, called_at desc);

-- Certificates that are revoked as superseded some time after their successor was stored.
create table supersessions (
  serial     bytea primary key,
  successor  bytea not null,
  due_at     timestamptz not null
);
create index supersessions_due on supersessions (due_at);

grant select, insert on pending_enrollments to tm_est;
grant select on pending_enrollments to tm_api;
grant update (state, decided_at, serial, mac) on pending_enrollments to tm_est;
grant update (state, decider, decider_person, decided_at, reason, expires_at, mac) on pending_enrollments to tm_api;
grant select on pending_enrollments to tm_worker;
grant update (state, decided_at, mac) on pending_enrollments to tm_worker;
grant select, insert on late_renewals to tm_api;
grant select on late_renewals to tm_est;
grant update (serial) on late_renewals to tm_est;
grant select, insert on renewal_calls to tm_api;
grant select on renewal_calls to tm_est, tm_responder;
grant insert on supersessions to tm_est;
grant select, insert, delete on supersessions to tm_worker;
grant select (not_before, device_id, spki_sha256, created_at) on certificates to tm_responder;
grant select (id, group_id) on devices to tm_responder;
grant select (spki_sha256) on blocked_keys to tm_responder;

-- est revokes certificates: what a renewal supersedes, what was lost, what a device wants revoked. It can write nothing else to
-- the log.
create function est_only_revokes() returns trigger language plpgsql as $$
begin
  if new.kind <> 'certificate' or new.status <> 'revoked' then
    raise exception 'the plane est writes nothing to the status log but revocations of certificates';
  end if;
  return new;
end $$;
create trigger status_changes_est before insert on status_changes
  for each row when (current_user = 'tm_est') execute function est_only_revokes();

do $$
declare
  t text;
  plane text;
  authority constant text := $p$current_setting('app.scope', true) = 'authority'$p$;
  me constant text := $p$nullif(current_setting('app.org', true), '')::uuid$p$;
begin
  foreach t in array array['pending_enrollments', 'late_renewals', 'renewal_calls'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I to tm_api using (%s or owner_org_id = %s or issuer_org_id = %s)', t || '_api', t, authority, me, me);
    foreach plane in array array['tm_est', 'tm_responder', 'tm_worker', 'tm_owner'] loop
      execute format('create policy %I on %I to %I using (true) with check (true)', t || '_' || plane, t, plane);
    end loop;
  end loop;
end $$;
