-- Who holds which name. A domain and a user are under a MAC; whether they count says the status log (kinds domain, user).
-- A device's profile and names stand under a MAC too, with the ids of the domains and users that they rest on.

create table domains (
  id               uuid primary key,
  name             text not null check (name = lower(name)),
  organization_id  uuid not null references organizations,
  held             boolean not null default false,
  checked_at       timestamptz,
  failures         integer not null default 0,
  mac              bytea not null,
  created_at       timestamptz not null default now(),
  unique (organization_id, name)
);
create unique index domains_held on domains (name) where held;
create index domains_name on domains (name);
create index domains_due on domains (checked_at nulls first) where held;

create table name_users (
  id               uuid primary key,
  address          text not null,
  types            text[] not null,
  domain_id        uuid not null references domains,
  organization_id  uuid not null references organizations,
  mac              bytea not null,
  created_at       timestamptz not null default now(),
  unique (domain_id, address)
);
create index name_users_address on name_users (address);
create index name_users_organization on name_users (organization_id);

-- mac: absent in devices that are older than it.
alter table devices
  add column name_holders uuid[] not null default '{}',
  add column bound_at timestamptz,
  add column mac bytea;
create index devices_name_holders on devices using gin (name_holders) where name_holders <> '{}';

grant select, insert on domains, name_users to tm_api;
grant update (held, checked_at, failures) on domains to tm_api;
grant update (profile, name_holders, bound_at, mac) on devices to tm_api;
grant select on domains, name_users to tm_worker;
grant update (held, checked_at, failures) on domains to tm_worker;

do $$
declare
  t text;
  plane text;
begin
  foreach t in array array['domains', 'name_users'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format($p$create policy %I on %I to tm_api using (current_setting('app.scope', true) = 'authority'
      or organization_id = nullif(current_setting('app.org', true), '')::uuid)$p$, t || '_api', t);
    foreach plane in array array['tm_worker', 'tm_owner'] loop
      execute format('create policy %I on %I to %I using (true) with check (true)', t || '_' || plane, t, plane);
    end loop;
  end loop;
end $$;
