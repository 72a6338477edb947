drop table secret_readers;
