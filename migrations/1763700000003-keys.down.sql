drop table key_audiences, keys;
