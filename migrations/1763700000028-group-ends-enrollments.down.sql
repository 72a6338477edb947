revoke update (decider, reason) on pending_enrollments from tm_worker;
