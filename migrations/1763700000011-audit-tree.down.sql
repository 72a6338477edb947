drop table audit_sealer, audit_keys, audit_cosignatures, audit_checkpoints, audit_tile_roots, audit_leaves;
alter table audit add column xid xid8 not null default pg_current_xact_id();
