-- People, their passkeys and invitations; operator tokens get a scope. Whether a person, a passkey, a token is good and which
-- roles a person has is said by status_changes alone; the rows here hold what never changes, each under a MAC.

alter table status_changes drop constraint status_changes_kind_check;
alter table status_changes add constraint status_changes_kind_check check (kind in
  ('key', 'certificate', 'device', 'group', 'token', 'person', 'role', 'passkey', 'issuer', 'profile'));

create table people (
  id               uuid primary key,
  organization_id  uuid not null references organizations,
  name             text not null check (length(name) between 1 and 200),
  email            text check (length(email) between 3 and 254),
  oidc_issuer      text,
  oidc_subject     text,
  mac              bytea not null,
  created_at       timestamptz not null default now(),
  unique (oidc_issuer, oidc_subject),
  check ((oidc_issuer is null) = (oidc_subject is null))
);
create index people_organization on people (organization_id);

-- kind: bootstrap (of the first start), machine (a program), personal (of a person, for the command line), session (a sign-in).
-- person_id is whom a personal or session token stands for; created_by is who answers for a machine token.
alter table operator_tokens
  add column kind text not null default 'bootstrap' check (kind in ('bootstrap', 'machine', 'personal', 'session')),
  add column person_id uuid references people,
  add column created_by uuid,
  add column roles text[] not null default '{}',
  add column predecessor_id text references operator_tokens,
  add column last_used_at timestamptz,
  add check ((person_id is not null) = (kind in ('personal', 'session'))),
  add check ((created_by is not null) = (kind = 'machine')),
  add check ((cardinality(roles) = 0) = (kind = 'bootstrap'));
alter table operator_tokens alter column kind drop default;
create index operator_tokens_organization on operator_tokens (organization_id, created_at desc);
create index operator_tokens_person on operator_tokens (person_id) where person_id is not null;

create table invitations (
  id               text primary key check (id ~ '^[0-9A-Za-z]{14}$'),
  person_id        uuid not null references people,
  organization_id  uuid not null references organizations,
  sealed_verifier  bytea not null,
  pepper_version   integer not null,
  expires_at       timestamptz not null,
  used_at          timestamptz,
  mac              bytea not null,
  created_at       timestamptz not null default now()
);
create index invitations_person on invitations (person_id);

create table passkeys (
  id               text primary key,
  person_id        uuid not null references people,
  organization_id  uuid not null references organizations,
  name             text not null check (length(name) between 1 and 100),
  public_key       bytea not null,
  counter          bigint not null default 0,
  transports       text[] not null default '{}',
  mac              bytea not null,
  last_used_at     timestamptz,
  created_at       timestamptz not null default now()
);
create index passkeys_person on passkeys (person_id);

-- What a sign-in that has begun must come back with, once: OpenID Connect state, WebAuthn challenge. sealed under secrets/api.kek.
create table sign_in_attempts (
  id          text primary key,
  kind        text not null check (kind in ('oidc', 'passkey', 'passkeyRegistration')),
  sealed      bytea not null,
  expires_at  timestamptz not null
);
create index sign_in_attempts_expiry on sign_in_attempts (expires_at);

create function used_once() returns trigger language plpgsql as $$
begin
  if old.used_at is not null then raise exception 'invitation %: used already', old.id; end if;
  return new;
end $$;
create trigger invitations_once before update on invitations for each row execute function used_once();
