-- Two-person operations. proposal is the RFC 8785 JSON of everything that is proposed, by whom, until when; digest is what the
-- approver approves and what is executed. Nothing of a proposal changes but its outcome, once.

create table approvals (
  id               uuid primary key,
  organization_id  uuid not null references organizations,
  operation        text not null check (operation in
    ('ca.create', 'ca.activate', 'ca.revoke', 'profile.change', 'group.revoke', 'device.reenroll', 'role.grant', 'person.invite')),
  subject          text not null,
  proposal         bytea not null,
  digest           bytea not null generated always as (sha256(proposal)) stored,
  proposer         text not null,
  proposer_person  uuid not null,
  proposed_at      timestamptz not null,
  expires_at       timestamptz not null,
  mac              bytea not null,
  state            text not null default 'proposed' check (state in ('proposed', 'executed', 'rejected', 'withdrawn', 'expired')),
  decider          text,
  decider_person   uuid,
  decided_at       timestamptz,
  single_operator  boolean not null default false,
  result           bytea,
  check (expires_at > proposed_at and expires_at <= proposed_at + interval '1 hour'),
  check ((state = 'proposed') = (decided_at is null)),
  check (state = 'executed' or result is null),
  check (state in ('proposed', 'expired') or (decider is not null and decider_person is not null)),
  constraint approvals_two_people check (state <> 'executed' or single_operator or decider_person <> proposer_person),
  constraint approvals_in_time check (state <> 'executed' or decided_at < expires_at)
);
create index approvals_open on approvals (expires_at) where state = 'proposed';
create index approvals_organization on approvals (organization_id, id desc);

create function approvals_decided_once() returns trigger language plpgsql as $$
begin
  if old.state <> 'proposed' or new.state = 'proposed' then
    raise exception 'approval %: % cannot become %', old.id, old.state, new.state;
  end if;
  if (new.id, new.organization_id, new.operation, new.subject, new.proposal, new.proposer, new.proposer_person,
      new.proposed_at, new.expires_at, new.mac)
     is distinct from
     (old.id, old.organization_id, old.operation, old.subject, old.proposal, old.proposer, old.proposer_person,
      old.proposed_at, old.expires_at, old.mac) then
    raise exception 'approval %: a proposal is never altered', old.id;
  end if;
  return new;
end $$;
create trigger approvals_once before update on approvals for each row execute function approvals_decided_once();

-- Profiles as changed by approval; those that were never changed are the shipped ones (version 1).
create table profile_versions (
  name         text not null,
  version      integer not null check (version > 1),
  settings     bytea not null,
  approval_id  uuid not null references approvals,
  mac          bytea not null,
  created_at   timestamptz not null default now(),
  primary key (name, version)
);
create trigger profile_versions_append_only before update or delete on profile_versions
  for each row execute function refuse_rewrite();
