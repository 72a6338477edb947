-- Of certificates that have no revocation service (noRevAvail, RFC 9608) neither CRL nor OCSP tells; the log does.
-- Every certificate so far has one.

alter table serials add column published boolean not null default true;
