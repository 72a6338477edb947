drop policy approvals_tm_signer on approvals;
revoke select (id, organization_id, operation, subject, proposal, digest, proposer, proposer_person, proposed_at, expires_at, mac, state)
  on approvals from tm_signer;
