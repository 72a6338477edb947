/** The tables that an enrolled device leaves something in, and the columns that `seed-rows.mjs` makes, in its order. */
export const COLUMNS = {
  devices:
    'id, instance_id, app_id, release_id, profile, names, status, owner_org_id, issuer_org_id, created_at, name_holders, bound_at, mac',
  serials: 'serial, issuer_id, shard, not_after, state, created_at',
  certificates:
    'serial, not_after, not_before, issuer_id, profile, profile_version, tbs, der, spki_sha256, subject, names, device_id, app_id, release_id, secret_id, request_label, requester, mac, owner_org_id, issuer_org_id, created_at',
  enrollment_secrets:
    'id, device_id, sealed_verifier, pepper_version, state, bound_serial, bound_request, expires_at, created_at, owner_org_id, issuer_org_id',
  status_changes: 'seq, kind, subject, status, reason, at, issuer_id, shard, not_after, mac',
  audit: 'id, at, actor, action, subject, outcome, request_id, canonical, owner_org_id, issuer_org_id',
  audit_leaves: 'leaf_index, event_id, hash',
  audit_tile_roots: 'level, n, hash',
};
