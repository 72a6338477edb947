-- The worker, which follows a group that is suspended or revoked, says why the enrollments of its devices end.
grant update (decider, reason) on pending_enrollments to tm_worker;
