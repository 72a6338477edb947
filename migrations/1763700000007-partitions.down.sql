drop function ensure_partitions;
