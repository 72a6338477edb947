-- The signer certifies the key of another CA only as two people approved: it reads what they did.
grant select (id, organization_id, operation, subject, proposal, digest, proposer, proposer_person, proposed_at, expires_at, mac, state)
  on approvals to tm_signer;
create policy approvals_tm_signer on approvals for select to tm_signer using (state = 'executed' and operation = 'ca.crossSign');
