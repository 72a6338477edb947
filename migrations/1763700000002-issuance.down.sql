drop table blocked_keys, enrollment_secrets, certificates, devices, serials, issuers, ca_keys;
drop function secrets_go_forward, certificates_write_once, serials_leave_issuing_only;
