drop table ocsp_answers, crl_scopes, artifacts;
