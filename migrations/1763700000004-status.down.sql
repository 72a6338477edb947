drop table status_counter, status_changes;
